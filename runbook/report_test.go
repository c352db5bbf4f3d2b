package runbook_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
)

const report = `VERDICT: real
DELIVERY: d42
SEVERITY: critical
CAUSE: cart exits 1 since release 1.8.2
EVIDENCE:
- 3 of 3 pods in CrashLoopBackOff since 03:10Z (kube_problems)
- KeyError: 'REDIS_URL' (kube_logs)
GAPS:
- traces: SigNoz did not answer
ACTION: none
RECOMMEND: revert !512
`

func TestParseReport(t *testing.T) {
	want := runbook.Report{
		Verdict: "real", Delivery: 42,
		Evidence: []string{"3 of 3 pods in CrashLoopBackOff since 03:10Z (kube_problems)", "KeyError: 'REDIS_URL' (kube_logs)"},
		Gaps:     []string{"traces: SigNoz did not answer"},
		Fields: map[string]string{
			"SEVERITY": "critical", "CAUSE": "cart exits 1 since release 1.8.2", "ACTION": "none",
			"RECOMMEND": "revert !512",
		},
	}
	for name, text := range map[string]string{
		"plain":              report,
		"in a block":         "```\n" + report + "```",
		"with bold fields":   strings.NewReplacer("VERDICT:", "**VERDICT:**", "GAPS:", "**GAPS**:").Replace(report),
		"lines of Windows":   strings.ReplaceAll(report, "\n", "\r\n"),
		"a line before it":   "Here is the report.\n" + report,
		"loud verdict":       strings.Replace(report, "real", "REAL", 1),
		"a gap on the line":  strings.Replace(report, "GAPS:\n- ", "GAPS: ", 1),
		"a folded paragraph": strings.Replace(report, "since release", "since\n  release", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := runbook.ParseReport(text)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("ParseReport: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAReportThatLacksSomethingIsToldWhat(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"prose", "All is fine, I think.", "the report has no line VERDICT"},
		{"empty", "", "the report has no line VERDICT"},
		{"another word", strings.Replace(report, "real", "probably real", 1), `VERDICT is "probably real", want one of noise, real`},
		{"no evidence", "VERDICT: noise\nEVIDENCE:\nGAPS:\n- none\n", "EVIDENCE is empty"},
		{"no gaps", "VERDICT: noise\nEVIDENCE:\n- a\n", "GAPS is empty"},
		{"a lower-case field is none", "verdict: noise\nEVIDENCE:\n- a\nGAPS: none\n", "the report has no line VERDICT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := runbook.ParseReport(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseReport(%q) = %v, want %q", tt.text, err, tt.want)
			}
		})
	}
}

// TestTheFormatsOfOurAgentsCanBeParsed fills in each agent's own template.
func TestTheFormatsOfOurAgentsCanBeParsed(t *testing.T) {
	for _, name := range []string{"investigator", "verifier", "scribe"} {
		text, err := os.ReadFile("../.claude/agents/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		_, format, ok := strings.Cut(string(text), "\n```\nVERDICT: ")
		format, _, closed := strings.Cut(format, "\n```")
		if !ok || !closed {
			t.Fatalf("%s: no block that begins with VERDICT", name)
		}
		words, rest, _ := strings.Cut(format, "\n")
		for word := range strings.SplitSeq(words, " | ") {
			if _, err := runbook.ParseReport("VERDICT: " + word + "\n" + rest); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add(report)
	f.Add("```\nVERDICT:")
	f.Add("VERDICT: noise\nGAPS:\nEVIDENCE:\n-")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := runbook.ParseReport(text)
		if err == nil && (r.Verdict == "" || len(r.Evidence) == 0 || len(r.Gaps) == 0) {
			t.Errorf("ParseReport(%q) accepted %+v", text, r)
		}
	})
}
