package runbook_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
)

const good = `---
title: Disk
category: storage
alerts: ["*disk*", KubeDisk]
services: ["*-pg"]
labels: ["kind=disk*"]
severity: {prod: critical, dev: info}
first_look: [history, pods]
allowed_actions: [delete_stuck_pod]
---
## What it means

It is full.
`

func TestParsePlaybook(t *testing.T) {
	got, err := runbook.ParsePlaybook("disk", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := runbook.Playbook{
		Name: "disk", Title: "Disk", Category: "storage", Alerts: []string{"*disk*", "KubeDisk"},
		Services: []string{"*-pg"}, Labels: []string{"kind=disk*"}, Severity: runbook.Urgency{Prod: runbook.Critical, Dev: runbook.Info},
		FirstLook: []string{"history", "pods"}, AllowedActions: []string{"delete_stuck_pod"}, Body: "## What it means\n\nIt is full.\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParsePlaybook (-want +got):\n%s", diff)
	}
	windows, err := runbook.ParsePlaybook("disk", []byte("\uFEFF"+strings.ReplaceAll(good, "\n", "\r\n")))
	if err != nil || cmp.Diff(want, windows) != "" {
		t.Errorf("with the line ends of Windows: %v\n%s", err, cmp.Diff(want, windows))
	}
	page := got.Page()
	for _, line := range []string{
		"# Playbook disk: Disk", "critical on prod, info on dev", "Look first at: history, pods.",
		"Actions that may be recommended: delete_stuck_pod.", "It is full.",
	} {
		if !strings.Contains(page, line) {
			t.Errorf("Page lacks %q:\n%s", line, page)
		}
	}
}

func TestMistakesOfAPlaybookAreReportedAtOnceWithTheirLines(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"no front matter", "# Disk\n", []string{`disk.md:1: want front matter between two lines "---"`}},
		{"not closed", "---\ntitle: a\n", []string{`disk.md:1: want front matter`}},
		{"empty", "", []string{`disk.md:1: want front matter`}},
		{"no mapping", "---\n- a\n---\nbody\n", []string{"disk.md:2: front matter is no list of keys"}},
		{"broken YAML names its line", "---\ntitle: a\nalerts: [\n---\nbody\n", []string{"disk.md:", "not valid YAML"}},
		{"nothing given", "---\nsymptom: true\n---\nbody\n", []string{
			"disk.md:2: title: is missing", "disk.md:2: category: is missing",
			"disk.md:2: severity: is missing", "disk.md:2: first_look: is missing", "disk.md:2: alerts: is missing; only unknown.md",
		}},
		{"all wrong together", `---
title: ""
category: disks
alerts: ["*", "*disk*", "*disk*", "[a"]
labels: [plain]
severity: {prod: loud, stage: info}
first_look: everything
allowed_actions: [delete_namespace]
always_escalate: maybe
colour: red
---

`, []string{
			"disk.md:2: title: want text", `disk.md:3: category: "disks" is none of certificate, database`,
			`disk.md:4: alerts: "*" matches nearly everything`, `disk.md:4: alerts: "*disk*" is listed twice`, `disk.md:4: alerts: "[a" is no glob`,
			`disk.md:5: labels: "plain" is no label; want key=glob`, `disk.md:6: severity.prod: "loud" is none of critical, warning, info`,
			`disk.md:6: severity: unknown environment "stage"`, "disk.md:6: severity: want one for prod and one for dev",
			"disk.md:7: first_look: want a list", `disk.md:8: allowed_actions: "delete_namespace" is none of clear_stuck_workflow`,
			"disk.md:9: always_escalate: want true or false", `disk.md:10: unknown key "colour"`, "the body is empty",
		}},
		{
			"an action that nobody may take", strings.Replace(good, "first_look", "always_escalate: true\nfirst_look", 1),
			[]string{"disk.md:10: allowed_actions: delete_stuck_pod, but always_escalate leaves every action to a person"},
		},
		{"a key given twice", strings.Replace(good, "severity", "title: again\nseverity", 1), []string{"disk.md:", "title"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := runbook.ParsePlaybook("disk", []byte(tt.text))
			if err == nil {
				t.Fatalf("ParsePlaybook(%q) gave no error", tt.text)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestLoadPlaybooksReportsEveryFileAndKeepsTheGoodOnes(t *testing.T) {
	files := fstest.MapFS{
		"disk.md":      {Data: []byte(good)},
		"broken.md":    {Data: []byte("no front matter")},
		"worse.md":     {Data: []byte("---\ntitle: w\n---\nbody")},
		"readme.txt":   {Data: []byte("not a playbook")},
		"sub/other.md": {Data: []byte("not at the root")},
	}
	ps, err := runbook.LoadPlaybooks(files)
	if diff := cmp.Diff([]string{"disk"}, ps.Names()); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	for _, want := range []string{"broken.md:1:", "worse.md:2: category: is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("LoadPlaybooks error lacks %q: %v", want, err)
		}
	}
}

// TestOurPlaybooksCoverWhatTheTeamRuns holds the set itself: at least one page
// for each kind that the mission names, databases and certificates never
// without a person, and every page with the same sections.
func TestOurPlaybooksCoverWhatTheTeamRuns(t *testing.T) {
	ps := ours(t)
	for _, name := range []string{
		"high-error-rate", "pod-crash-loop", "oom-killed", "high-latency", "argocd-app", "pvc-capacity", "postgresql",
		"object-store", "vector-store", "argo-workflows", "certificates-mtls", "node-problems", "tenant-inactive", "monitoring",
		"queue-ingestion", "unknown",
	} {
		if _, ok := ps.Find(name); !ok {
			t.Errorf("no playbook %s", name)
		}
	}
	sections := []string{"## What it means", "## Check, in this order", "## Noise or real", "## What fixes it", "## When to escalate", "## Report"}
	for _, p := range ps {
		at := -1
		for _, s := range sections {
			i := strings.Index(p.Body, s+"\n")
			if i <= at {
				t.Errorf("%s: section %q is missing or out of order", p.Name, s)
			}
			at = i
		}
		if (p.Category == "database" || p.Category == "certificate") && !p.AlwaysEscalate {
			t.Errorf("%s: %s matters always go to a person", p.Name, p.Category)
		}
		if len(p.Page()) > 8000*4 {
			t.Errorf("%s: page of %d bytes does not fit a tool's answer", p.Name, len(p.Page()))
		}
	}
}

func FuzzParsePlaybook(f *testing.F) {
	f.Add("disk", good)
	f.Add("unknown", strings.Replace(good, `alerts: ["*disk*", KubeDisk]`, "alerts: []", 1))
	f.Add("x", "---\n---\n")
	f.Add("x", "---\na: &a [*a]\n---\n")
	f.Add("x", "---\nseverity: {prod: &p critical, dev: *p}\n---\nb")
	entries, err := os.ReadDir("../playbooks")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile("../playbooks/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.TrimSuffix(e.Name(), ".md"), string(text))
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		p, err := runbook.ParsePlaybook(name, []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), name+".md:") {
				t.Errorf("error does not name file and line: %v", err)
			}
			return
		}
		// What was accepted can be used.
		if p.Title == "" || p.Category == "" || strings.TrimSpace(p.Body) == "" || p.Severity.For(runbook.Prod) == "" || p.Severity.For(runbook.Dev) == "" {
			t.Errorf("accepted an incomplete playbook: %+v", p)
		}
		if p.AlwaysEscalate && len(p.AllowedActions) > 0 {
			t.Errorf("accepted actions that nobody may take: %+v", p)
		}
		runbook.Playbooks{p}.Match("KubeDisk", "x-pg", map[string]string{"kind": "disk"})
		if p.Page() == "" {
			t.Error("empty page")
		}
	})
}
