package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/AxmeAI/axme-sdk-go/axme"
)

// answer is the product page's agent: listen, read, decide, resume, until it has seen enough.
func answer(ctx context.Context, client *axme.Client, address string, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	deliveries, errs := client.Listen(ctx, address, axme.ListenOptions{})
	for delivery := range deliveries {
		intentID := delivery["intent_id"].(string)
		intent, err := client.GetIntent(ctx, intentID, none)
		if err != nil {
			return err
		}
		passed := intent["payload"].(map[string]any)["amount"].(float64) <= 1000
		result := map[string]any{"passed": passed, "reason": "compared with the limit"}
		if _, err := client.ResumeIntent(ctx, intentID, result, none); err != nil {
			return err
		}
		if count--; count == 0 {
			return nil
		}
	}
	return <-errs
}

func TestAgentAnswersInitiator(t *testing.T) {
	ctx := within(t, time.Minute)
	client := connect(t, setting(t, "AXME_API_KEY"))
	address := homeOf(ctx, t, client).prefix + "go-" + unique(t)
	agent := make(chan error, 1)
	go func() { agent <- answer(ctx, client, address, 2) }()

	for _, amount := range []int{10, 5000} {
		began := time.Now()
		intentID, err := client.SendIntent(ctx, intentTo(address, map[string]any{"amount": amount}), none)
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := client.WaitFor(ctx, intentID, axme.ObserveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if outcome["event_type"] != "intent.completed" || outcome["status"] != "COMPLETED" {
			t.Fatalf("not completed: %v", outcome)
		}
		result := outcome["details"].(map[string]any)["result"].(map[string]any)
		if result["passed"] != (amount <= 1000) {
			t.Fatalf("wrong result for %d: %v", amount, result)
		}
		// Listen sees a delivery when the response ends, WaitFor asks once a second.
		if elapsed := time.Since(began); elapsed > 5*time.Second {
			t.Fatalf("took %v: is the stream's response held open after a delivery?", elapsed)
		}
	}
	if err := <-agent; err != nil {
		t.Fatal(err)
	}
}

func TestBacklogIsDeliveredOnce(t *testing.T) {
	ctx := within(t, time.Minute)
	client := connect(t, setting(t, "AXME_API_KEY"))
	address := homeOf(ctx, t, client).prefix + "go-" + unique(t)
	waiting := map[string]bool{}
	for range 20 {
		intentID, err := client.SendIntent(ctx, intentTo(address, map[string]any{"amount": 1}), none)
		if err != nil {
			t.Fatal(err)
		}
		waiting[intentID] = true
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	deliveries, errs := client.Listen(listening, address, axme.ListenOptions{})
	for len(waiting) > 0 {
		delivery, open := <-deliveries
		if !open {
			t.Fatalf("the stream ended with %d to come: %v", len(waiting), <-errs)
		}
		intentID := delivery["intent_id"].(string)
		if !waiting[intentID] {
			t.Fatalf("%s was not sent, or came twice", intentID)
		}
		delete(waiting, intentID)
	}
}

func TestObserveSeesEveryEvent(t *testing.T) {
	ctx := within(t, time.Minute)
	client := connect(t, setting(t, "AXME_API_KEY"))
	address := homeOf(ctx, t, client).prefix + "go-" + unique(t)
	intentID, err := client.SendIntent(ctx, intentTo(address, map[string]any{"amount": 1}), none)
	if err != nil {
		t.Fatal(err)
	}
	resolution := map[string]any{"status": "COMPLETED", "result": map[string]any{"by": "hand"}}
	if _, err := client.ResolveIntent(ctx, intentID, resolution, none); err != nil {
		t.Fatal(err)
	}
	events, errs := client.Observe(ctx, intentID, axme.ObserveOptions{})
	seq := 0.0
	last := ""
	for event := range events {
		if seq++; event["seq"] != seq {
			t.Fatalf("want seq %v, got %v", seq, event["seq"])
		}
		last = event["status"].(string)
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	if last != "COMPLETED" || seq < 3 {
		t.Fatalf("ended with %s after %v events", last, seq)
	}
}
