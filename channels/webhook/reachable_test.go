package webhook_test

import (
	"testing"

	"watchkeeper/channels/webhook"
)

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8788": "127.0.0.1:8788", "0.0.0.0:8788": "localhost:8788", "[::]:1": "localhost:1", ":2": "localhost:2", "10.0.0.1:3": "10.0.0.1:3",
	} {
		if got := webhook.Reachable(address); got != want {
			t.Errorf("Reachable(%q) = %q, want %q", address, got, want)
		}
	}
}
