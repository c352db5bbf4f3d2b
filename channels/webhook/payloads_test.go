package webhook_test

import (
	"fmt"
	"strings"
	"testing"

	"watchkeeper/channels/webhook"
	"watchkeeper/runbook"
)

func TestPayloadsOfRealSenders(t *testing.T) {
	var s strings.Builder
	for _, p := range payloads(t) {
		b, err := webhook.Decode(p.body, "", p.headers["User-Agent"], received, plain())
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		fmt.Fprintf(&s, "%s: %s, truncated %d\n", p.name, b.Format, b.Truncated)
		for _, a := range b.Alerts {
			s.WriteString("  " + line(a) + "\n")
		}
	}
	golden(t, "payloads.golden", []byte(s.String()))
}

// line renders what dispatch needs of a.
func line(a runbook.Alert) string {
	end := "-"
	if !a.EndsAt.IsZero() {
		end = a.EndsAt.Format("15:04:05.999999999")
	}
	flags := ""
	for _, f := range []struct {
		set  bool
		name string
	}{{a.NoData, " no-data"}, {a.Test, " test"}, {a.Unrecognised, " unrecognised"}} {
		if f.set {
			flags += f.name
		}
	}
	return fmt.Sprintf("%-8s %q severity=%s(%s) service=%s cluster=%s namespace=%s env=%s %s..%s %s%s",
		a.Status, a.Name, a.Severity, a.SeverityRaw, a.Service, a.Cluster, a.Namespace, a.Env,
		a.StartsAt.Format("15:04:05.999999999"), end, a.Fingerprint, flags)
}
