// Nobody answers: after a second there is a reminder, after another one somebody else is asked.
// The timers are the server's; this program only looks on, and then answers as the one on call.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/AxmeAI/axme-sdk-go/axme"
)

//go:embed scenario.json
var scenario []byte

var none = axme.RequestOptions{}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := axme.NewClient(axme.ClientConfig{
		BaseURL: os.Getenv("AXME_BASE_URL"),
		APIKey:  os.Getenv("AXME_API_KEY"),
	})
	must(err)
	var bundle map[string]any
	must(json.Unmarshal(scenario, &bundle))
	applied, err := client.ApplyScenario(ctx, bundle, none)
	must(err)
	id := applied["intent_id"].(string)
	reminded := false
	for seen := 0; ; time.Sleep(200 * time.Millisecond) {
		answer, err := client.ListIntentEvents(ctx, id, &seen, none)
		must(err)
		for _, item := range answer["events"].([]any) {
			event := item.(map[string]any)
			seen = int(event["seq"].(float64))
			fmt.Printf("%3d  %-11v  %v\n", seen, event["status"], event["event_type"])
			switch {
			case event["event_type"] == "intent.reminder":
				reminded = true
			case event["event_type"] == "intent.escalated":
				decide(ctx, client, id)
			case event["status"] == "COMPLETED":
				if !reminded {
					log.Fatal("nobody was reminded")
				}
				return
			case event["status"] == "FAILED":
				log.Fatal("it failed")
			}
		}
	}
}

func decide(ctx context.Context, client *axme.Client, id string) {
	decision := map[string]any{"outcome": "approved", "comment": "seen, restarting"}
	_, err := client.ResumeIntent(ctx, id, map[string]any{"task_result": decision}, none)
	must(err)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
