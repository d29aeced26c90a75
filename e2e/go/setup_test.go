// Package e2e runs the official Go SDK, unmodified, against a server that it is given.
//
// The SDK's Listen reads a stream's response to its end before it hands anything out: these tests
// pass only when the server ends its responses soon after it has sent something.
package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/AxmeAI/axme-sdk-go/axme"
)

// none are the options of a request without any.
var none = axme.RequestOptions{}

// setting fails instead of skipping: a run that tested nothing must not look like one that passed.
func setting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: e2e/run sets it", name)
	}
	return value
}

func connect(t *testing.T, apiKey string) *axme.Client {
	t.Helper()
	client, err := axme.NewClient(axme.ClientConfig{
		BaseURL: setting(t, "AXME_BASE_URL"),
		APIKey:  apiKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// within bounds a whole test.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func unique(t *testing.T) string {
	t.Helper()
	bytes := make([]byte, 6)
	if _, err := rand.Read(bytes); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(bytes)
}

// workspace is where the key belongs.
type workspace struct{ orgID, workspaceID, prefix string }

func homeOf(ctx context.Context, t *testing.T, client *axme.Client) workspace {
	t.Helper()
	answer, err := client.ListServiceAccounts(ctx, "", "", none)
	if err != nil {
		t.Fatal(err)
	}
	account := answer["service_accounts"].([]any)[0].(map[string]any)
	address := account["agent_address"].(string)
	for address[len(address)-1] != '/' {
		address = address[:len(address)-1]
	}
	return workspace{account["org_id"].(string), account["workspace_id"].(string), address}
}

func intentTo(address string, payload map[string]any) map[string]any {
	return map[string]any{
		"intent_type": "compliance.check.v1",
		"to_agent":    address,
		"payload":     payload,
	}
}

// assertStatus fails unless the server refused with this status.
func assertStatus(t *testing.T, err error, status int) {
	t.Helper()
	var refused *axme.HTTPError
	if !errors.As(err, &refused) {
		t.Fatalf("want a refusal with %d, got %v", status, err)
	}
	if refused.StatusCode != status {
		t.Fatalf("want %d, got %d: %s", status, refused.StatusCode, refused.Body)
	}
}
