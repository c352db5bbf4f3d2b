package webhook_test

import (
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/webhook"
)

// TestHostileBodiesAreReadInGoodTime sends ten MiB of what could make a decoder
// slow. Nothing takes more than a tenth of the bound; the bound is for a busy
// machine under the race detector.
func TestHostileBodiesAreReadInGoodTime(t *testing.T) {
	const bound = 10 * time.Second
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (webhook.MaxBody-len(head)-len(tail))/len(part)) + tail
	}
	envelope := `{"version":"4","alerts":[`
	tests := []struct{ name, body string }{
		{"one long label", fill(envelope+`{"labels":{"a":"`, "x", `"}}]}`)},
		{"nothing but escapes", fill(envelope+`{"labels":{"a":"`, `\u0000`, `"}}]}`)},
		{"nothing but invalid bytes", fill(envelope+`{"labels":{"a":"`, "\xff", `"}}]}`)},
		{"a label again and again", fill(envelope+`{"labels":{`, `"a":"b",`, `"a":"c"}}]}`)},
		{"values of wrong types", fill(envelope, `7,`, `7]}`)},
		{"deep nesting", fill("", `[`, "")},
		{"deep nesting of objects", fill("", `{"alerts":`, "")},
		{"lists in a list", fill("[", `[],`, "[]]")},
		{"keys in an object", fill("{", `"title":"x",`, `"title":"y"}`)},
		{"lists of alerts", fill("{", `"alerts":[],`, `"alerts":[]}`)},
		{"a long number", fill("", "9", "")},
		{"blank lines", fill("", "\n", "x")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			b, err := webhook.Decode([]byte(tt.body), "", "", received, plain())
			if took := time.Since(start); took > bound {
				t.Errorf("%d alerts, %v after %v, want at most %v", len(b.Alerts), err, took, bound)
			} else {
				t.Logf("%d alerts, %v, %v", len(b.Alerts), err, took)
			}
			for _, a := range b.Alerts {
				checkAlert(t, a)
			}
		})
	}
}
