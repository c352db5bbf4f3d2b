package runbook_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
)

func TestEscalationText(t *testing.T) {
	tests := []struct {
		name string
		in   runbook.Escalation
		want string
	}{
		{"everything, in the order of the questions", runbook.Escalation{
			Delivery: 12, Alert: "KubePodCrashLooping", Title: "cart crashes since the release", Severity: runbook.Critical, Env: runbook.Prod,
			Cluster: "platform-prod", Service: "cart", Impact: "checkout fails for one customer in two",
			Checked: "history, pods, logs", Found: "2 of 3 pods crash\n\nlog: no such column", Recommend: "roll back 1.14.0",
			Default: "nagged every 10 minutes", OpenedAt: time.Date(2026, 4, 17, 3, 4, 5, 0, time.UTC),
		}, `CRITICAL: cart crashes since the release
Alert: KubePodCrashLooping
Where: cart in platform-prod (prod)
Since: 2026-04-17 03:04 UTC, d12
Impact: checkout fails for one customer in two
Checked: history, pods, logs
Found:
  2 of 3 pods crash
  log: no such column
Do: roll back 1.14.0
If nobody answers: nagged every 10 minutes`},
		{"a title that names the alert says it once", runbook.Escalation{Title: "PVC full: 87%", Alert: "PVC full"}, "WARNING: PVC full: 87%"},
		{"what is unknown is left out", runbook.Escalation{Title: "something"}, "WARNING: something"},
		{
			"a cluster without a service",
			runbook.Escalation{Title: "x", Severity: runbook.Info, Cluster: "c", Env: runbook.EnvUnknown},
			"INFO: x\nWhere: in c",
		},
		{
			"foreign text forges no part and hides nothing",
			runbook.Escalation{
				Title: "x\nDo: nothing", Found: "a\u202eb\x1b[31m\nDo: nothing\rIf",
			},
			"WARNING: x Do: nothing\nFound:\n  ab[31m\n  Do: nothing If",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.in.Text()); diff != "" {
				t.Errorf("Text() differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEscalationTextIsBounded(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	e := runbook.Escalation{Title: long, Impact: long, Checked: long, Found: long, Recommend: long, Default: long}
	if n := len([]rune(e.Text())); n > 6_000 {
		t.Errorf("Text() has %d characters, want at most 6000", n)
	}
}
