package e2e

import (
	"testing"
	"time"

	"github.com/AxmeAI/axme-sdk-go/axme"
)

const unknown = "0190a000-0000-7000-8000-000000000000"

func TestIdempotency(t *testing.T) {
	ctx := within(t, 30*time.Second)
	client := connect(t, setting(t, "AXME_API_KEY"))
	keyed := axme.RequestOptions{IdempotencyKey: "go-" + unique(t)}
	body := intentTo("go-idempotency", map[string]any{"amount": 1})
	first, err := client.SendIntent(ctx, body, keyed) // Adds a correlation id to the body.
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.SendIntent(ctx, body, keyed)
	if err != nil {
		t.Fatal(err)
	}
	if first != again {
		t.Fatalf("one key, two intents: %s and %s", first, again)
	}
	body["payload"] = map[string]any{"amount": 2}
	_, err = client.SendIntent(ctx, body, keyed)
	assertStatus(t, err, 409)
}

func TestIntentWithoutCorrelationID(t *testing.T) {
	ctx := within(t, 30*time.Second)
	client := connect(t, setting(t, "AXME_API_KEY"))
	answer, err := client.CreateIntent(ctx, intentTo("go-plain", map[string]any{}), none)
	if err != nil {
		t.Fatal(err)
	}
	intent, err := client.GetIntent(ctx, answer["intent_id"].(string), none)
	if err != nil {
		t.Fatal(err)
	}
	if correlation, _ := intent["correlation_id"].(string); len(correlation) != 36 {
		t.Fatalf("no correlation id was made: %v", intent)
	}
}

func TestRefusals(t *testing.T) {
	ctx := within(t, 30*time.Second)
	client := connect(t, setting(t, "AXME_API_KEY"))

	_, err := connect(t, "axme_sa_nobody_0123456789abcdef").GetIntent(ctx, unknown, none)
	assertStatus(t, err, 401)
	_, err = client.GetIntent(ctx, unknown, none)
	assertStatus(t, err, 404)
	_, err = client.CreateIntent(ctx, map[string]any{"intent_type": "x"}, none)
	assertStatus(t, err, 422)

	intentID, err := client.SendIntent(ctx, intentTo("go-refusals", map[string]any{}), none)
	if err != nil {
		t.Fatal(err)
	}
	result := map[string]any{"passed": true}
	if _, err := client.ResumeIntent(ctx, intentID, result, none); err != nil {
		t.Fatal(err)
	}
	_, err = client.ResumeIntent(ctx, intentID, result, none)
	assertStatus(t, err, 409)
}

func TestServiceAccountAndKey(t *testing.T) {
	ctx := within(t, 30*time.Second)
	client := connect(t, setting(t, "AXME_API_KEY"))
	home := homeOf(ctx, t, client)
	name := "go-" + unique(t)
	made, err := client.CreateServiceAccount(ctx, map[string]any{
		"org_id": home.orgID, "workspace_id": home.workspaceID, "name": name,
	}, none)
	if err != nil {
		t.Fatal(err)
	}
	account := made["service_account"].(map[string]any)
	accountID := account["service_account_id"].(string)
	made, err = client.CreateServiceAccountKey(ctx, accountID, map[string]any{}, none)
	if err != nil {
		t.Fatal(err)
	}
	key := made["key"].(map[string]any)
	worker := connect(t, key["token"].(string))
	agents, err := worker.ListAgents(ctx, home.orgID, home.workspaceID, nil, none)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, agent := range agents["agents"].([]any) {
		found = found || agent.(map[string]any)["address"] == home.prefix+name
	}
	if !found {
		t.Fatalf("%s%s is not listed: %v", home.prefix, name, agents)
	}
	if _, err := worker.GetAgent(ctx, home.prefix+name, none); err != nil {
		t.Fatal(err)
	}
	// The SDK sends this POST without a body.
	_, err = client.RevokeServiceAccountKey(ctx, accountID, key["key_id"].(string), none)
	if err != nil {
		t.Fatal(err)
	}
	_, err = worker.ListAgents(ctx, home.orgID, home.workspaceID, nil, none)
	assertStatus(t, err, 401)
}

func TestHealthAndCapabilities(t *testing.T) {
	ctx := within(t, 30*time.Second)
	client := connect(t, setting(t, "AXME_API_KEY"))
	if _, err := client.Health(ctx, none); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetCapabilities(ctx, none); err != nil {
		t.Fatal(err)
	}
}
