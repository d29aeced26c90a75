// Three services take their turns in one order. None knows the others, and none calls another:
// the scenario says whose turn it is, and the order's intent is the record that they share.
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

	go serve(ctx, client, "warehouse", map[string]any{"reserved": true})
	go serve(ctx, client, "billing", map[string]any{"invoice": "I-203"})
	go serve(ctx, client, "carrier", map[string]any{"tracking": "T-9"})

	var bundle map[string]any
	must(json.Unmarshal(scenario, &bundle))
	applied, err := client.ApplyScenario(ctx, bundle, none)
	must(err)
	id := applied["intent_id"].(string)
	fmt.Println("order", id)
	if status := follow(ctx, client, id); status != "COMPLETED" {
		log.Fatalf("the order ended %s", status)
	}
}

// serve answers every delivery to a service.
func serve(ctx context.Context, client *axme.Client, name string, result map[string]any) {
	deliveries, failed := client.Listen(ctx, name, axme.ListenOptions{})
	for delivery := range deliveries {
		fmt.Println(name, "works")
		_, err := client.ResumeIntent(ctx, delivery["intent_id"].(string), result, none)
		must(err)
	}
	if err := <-failed; err != nil {
		log.Fatal(name, ": ", err)
	}
}

// follow prints what happens to the order until it ends; this SDK reads events in batches.
func follow(ctx context.Context, client *axme.Client, id string) string {
	for seen := 0; ; time.Sleep(200 * time.Millisecond) {
		answer, err := client.ListIntentEvents(ctx, id, &seen, none)
		must(err)
		for _, item := range answer["events"].([]any) {
			event := item.(map[string]any)
			seen = int(event["seq"].(float64))
			fmt.Printf("%3d  %-11v  %v\n", seen, event["status"], event["event_type"])
			switch status := event["status"].(string); status {
			case "COMPLETED", "FAILED", "CANCELED", "TIMED_OUT":
				return status
			}
		}
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
