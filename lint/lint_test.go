package lint_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels"
	"watchkeeper/channels/slack"
	"watchkeeper/lint"
	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// known are the tools that a session has. What its servers offer is taken from
// them.
func known(t *testing.T) []lint.Tool {
	t.Helper()
	sre, err := lint.Tools("sre-tools", tools.All(tools.Config{})...)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := lint.Tools("webhook", channels.PendingEvents(nil))
	if err != nil {
		t.Fatal(err)
	}
	people, err := lint.Tools("slack", slack.Tools(nil, slack.Calling{})...)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(sre, hook, people)
}

func TestOurRunbookIsClean(t *testing.T) {
	found, err := lint.Check(lint.Runbook{Files: os.DirFS(".."), Tools: known(t), Policy: runbook.Policy{
		KnownNoise:     []runbook.Match{{Alert: "Tenant Inactive", Service: "tenant-test-*"}},
		EscalateAlways: []runbook.Match{{Category: "database"}, {Category: "certificate"}, {Alert: "*mTLS*"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

const disk = `---
title: Disk
category: storage
alerts: ["*disk*", DiskFull]
severity: {prod: critical, dev: info}
first_look: [history]
allowed_actions: [restart_deployment]
---
Call ` + "`kube_problems(cluster, namespace)`" + `; then ` + "`restart_deployment(cluster, name: \"a, (b)\")`" + ` helps.
`

const unknown = "---\ntitle: U\ncategory: unknown\nalerts: []\nseverity: {prod: warning, dev: info}\nfirst_look: [history]\n---\nLook.\n"

const agent = `---
name: investigator
description: looks
tools: mcp__sre-tools__kube_problems, ToolSearch
---
## Report

VERDICT: real
EVIDENCE:
GAPS:
`

// small is a runbook in which nothing is wrong.
func small() map[string]string {
	return map[string]string{
		"CLAUDE.md":                      "Start `subagent_type: \"investigator\"`; see playbook `disk`.\n",
		".claude/agents/investigator.md": agent,
		"playbooks/disk.md":              disk,
		"playbooks/unknown.md":           unknown,
	}
}

func check(t *testing.T, files map[string]string, policy runbook.Policy, alerts ...lint.Alert) []string {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	found, err := lint.Check(lint.Runbook{Files: fsys, Policy: policy, Alerts: alerts, Tools: []lint.Tool{
		{Name: "mcp__sre-tools__kube_problems", Args: []string{"cluster", "namespace"}},
		{Name: "mcp__sre-tools__restart_deployment", Args: []string{"cluster", "name"}},
		{Name: "mcp__sre-tools__delete_stuck_pod", Args: []string{"cluster", "name"}},
		{Name: "mcp__slack__escalate"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range found {
		out = append(out, f.String())
	}
	return out
}

func TestCheck(t *testing.T) {
	set := func(name, text string) func(map[string]string) { return func(m map[string]string) { m[name] = text } }
	replace := func(name, old, with string) func(map[string]string) {
		return func(m map[string]string) {
			if !strings.Contains(m[name], old) {
				panic(name + " has no " + old)
			}
			m[name] = strings.Replace(m[name], old, with, 1)
		}
	}
	tests := []struct {
		name   string
		change func(map[string]string)
		policy runbook.Policy
		alerts []lint.Alert
		want   []string
	}{
		{"nothing is wrong", func(map[string]string) {}, runbook.Policy{}, []lint.Alert{{Name: "DiskFull", Times: 3}}, nil},
		{
			"no procedure", func(m map[string]string) { delete(m, "CLAUDE.md") },
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:1: error: is missing: the session has no procedure"},
		},
		{
			"no catch-all", func(m map[string]string) { delete(m, "playbooks/unknown.md") },
			runbook.Policy{},
			nil,
			[]string{"playbooks/unknown.md:1: error: is missing or broken: alerts that no playbook matches have no page"},
		},
		{
			"every mistake of a front matter, at its line", replace("playbooks/disk.md", "category: storage", "category: disks\ncolour: red"),
			runbook.Policy{},
			nil,
			[]string{
				`playbooks/disk.md:3: error: category: "disks" is none of certificate, database, deployment, ingestion, monitoring, node, object-store, security, service, storage, tenant, unknown, vector-store, workflow, workload`,
				`playbooks/disk.md:4: error: unknown key "colour"; want one of alerts, allowed_actions, always_escalate, category, first_look, labels, services, severity, symptom, title`,
			},
		},
		{
			"a tool that is not there", replace("playbooks/disk.md", "kube_problems(cluster", "kube_issues(cluster"),
			runbook.Policy{},
			nil,
			[]string{"playbooks/disk.md:9: error: there is no tool kube_issues"},
		},
		{
			"nor where it is only named", set("CLAUDE.md", "Use `signoz_wish`\nor mcp__slack__whisper.\n"),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:1: error: there is no tool signoz_wish", "CLAUDE.md:2: error: there is no tool mcp__slack__whisper"},
		},
		{
			"the right tool of the wrong server", set("CLAUDE.md", "mcp__slack__kube_problems\n"),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:1: error: there is no tool mcp__slack__kube_problems"},
		},
		{
			"an argument that it does not take", replace("playbooks/disk.md", "cluster, namespace)", "cluster, pod: \"x\")"),
			runbook.Policy{},
			nil,
			[]string{`playbooks/disk.md:9: error: kube_problems has no argument "pod"; it takes cluster, namespace`},
		},
		{
			"an argument without a name", replace("playbooks/disk.md", "cluster, namespace)", "PROD)"),
			runbook.Policy{},
			nil,
			[]string{"playbooks/disk.md:9: error: kube_problems(PROD): write the argument as name or name: value; it takes cluster, namespace"},
		},
		{"arguments of a tool that is not known are not checked", set("CLAUDE.md", "escalate(anything: 1)\n"), runbook.Policy{}, nil, nil},
		{
			"a file that is not there", set("CLAUDE.md", "See `playbooks/none.md`, but not `playbooks/NAME.md`.\n"),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:1: error: there is no file playbooks/none.md"},
		},
		{
			"a playbook that is not there", set("CLAUDE.md", "See playbook `disk`, playbooks\n`disk` and `dusk`.\n"),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:2: error: there is no playbook dusk"},
		},
		{
			"an agent that is not there", set("CLAUDE.md", "subagent_type: \"detective\"\n"),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:1: error: there is no agent detective in .claude/agents"},
		},
		{
			"an agent with every tool", replace(".claude/agents/investigator.md", "tools: mcp__sre-tools__kube_problems, ToolSearch\n", ""),
			runbook.Policy{},
			nil,
			[]string{".claude/agents/investigator.md:1: error: tools: is missing; without it the agent has every tool of the session, also those that write"},
		},
		{
			"an agent that writes", replace(".claude/agents/investigator.md", ", ToolSearch", ", mcp__sre-tools__restart_deployment, Bash"),
			runbook.Policy{},
			nil,
			[]string{
				".claude/agents/investigator.md:4: error: tools: mcp__sre-tools__restart_deployment is no tool that only reads; sub-agents never write",
				".claude/agents/investigator.md:4: error: tools: Bash is no tool that only reads; sub-agents never write",
			},
		},
		{
			"an agent under another name, without a field", func(m map[string]string) {
				m[".claude/agents/investigator.md"] = strings.NewReplacer("name: investigator", "name: other", "GAPS:", "").Replace(agent)
				m["CLAUDE.md"] = "x\n"
			},
			runbook.Policy{},
			nil,
			[]string{
				`.claude/agents/investigator.md:2: error: name: is "other", want "investigator" as the file is called`,
				".claude/agents/investigator.md:6: error: the report has no field GAPS:",
			},
		},
		{
			"a misspelt key of an agent", replace(".claude/agents/investigator.md", "description", "describe"),
			runbook.Policy{},
			nil,
			[]string{".claude/agents/investigator.md:1: error: front matter: yaml: ", "CLAUDE.md"},
		},
		{
			"an action that is not allowed", replace("playbooks/disk.md", "kube_problems(cluster, namespace)", "delete_stuck_pod(cluster, name)"),
			runbook.Policy{},
			nil,
			[]string{"playbooks/disk.md:9: error: the body calls delete_stuck_pod, but allowed_actions does not list it"},
		},
		{
			"an action that nothing calls for", replace("playbooks/disk.md", "[restart_deployment]", "[restart_deployment, delete_stuck_pod]"),
			runbook.Policy{},
			nil,
			[]string{"playbooks/disk.md:7: warning: allowed_actions: delete_stuck_pod is allowed, but the body never says when"},
		},
		{
			"one glob in two playbooks", set("playbooks/other.md", strings.Replace(disk, "DiskFull", "Other", 1)),
			runbook.Policy{},
			nil,
			[]string{`playbooks/other.md:4: error: alerts: "*disk*" is in playbook disk too; only one of them is ever found`},
		},
		{
			"a category that policy leaves to people", func(map[string]string) {},
			runbook.Policy{EscalateAlways: []runbook.Match{{Category: "stor*"}}},
			nil,
			[]string{"playbooks/disk.md:7: error: allowed_actions: restart_deployment, but policy.escalate_always leaves category stor* to a person"},
		},
		{
			"an alert that policy leaves to people", func(map[string]string) {},
			runbook.Policy{EscalateAlways: []runbook.Match{{Alert: "Disk*"}}},
			nil,
			[]string{`playbooks/disk.md:7: error: allowed_actions: restart_deployment, but policy.escalate_always leaves alert "Disk*" to a person`},
		},
		{"some services only are no contradiction", func(map[string]string) {}, runbook.Policy{EscalateAlways: []runbook.Match{{Category: "storage", Service: "pg"}}}, nil, nil},
		{
			"what always escalates is hushed", func(m map[string]string) {
				m["playbooks/disk.md"] = strings.NewReplacer("allowed_actions: [restart_deployment]", "always_escalate: true", "restart_deployment(", "restart (").Replace(disk)
			},
			runbook.Policy{KnownNoise: []runbook.Match{{Category: "storage"}}},
			nil,
			[]string{"playbooks/disk.md:7: warning: always_escalate: but policy.known_noise dismisses category storage"},
		},
		{
			"an alert that nothing matches", func(map[string]string) {},
			runbook.Policy{},
			[]lint.Alert{{Name: "Frobnicator", Times: 12}, {Name: "big disk", Times: 2}},
			[]string{`playbooks/unknown.md:1: warning: alert "Frobnicator" fired 12 times in 30 days and no playbook matches it; add a glob to one, or a playbook`},
		},
		{
			"too many lines", set("CLAUDE.md", strings.Repeat("x\n", 401)),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:401: error: has 401 lines, want at most 400: the model pays for each of them"},
		},
		{
			"too many bytes", set("CLAUDE.md", strings.Repeat("x", 33000)),
			runbook.Policy{},
			nil,
			[]string{"CLAUDE.md:1: error: has 33000 bytes, want at most 32768: the model pays for each of them"},
		},
		{"empty", set("CLAUDE.md", "\n"), runbook.Policy{}, nil, []string{"CLAUDE.md:1: error: is empty"}},
		{"files of another system end their lines otherwise", set("playbooks/disk.md", strings.ReplaceAll(disk, "\n", "\r\n")), runbook.Policy{}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := small()
			tt.change(files)
			got := check(t, files, tt.policy, tt.alerts...)
			// A want that ends early stands for the line that begins with it; a bare
			// file for any finding in it.
			if len(got) != len(tt.want) {
				t.Fatalf("Check =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			for i := range want {
				if !strings.HasPrefix(got[i], want[i]) {
					t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
					break
				}
			}
		})
	}
}

func TestToolsOfAServerAreNamedAsTheSessionSeesThem(t *testing.T) {
	got, err := lint.Tools("webhook", channels.PendingEvents(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]lint.Tool{{Name: "mcp__webhook__pending_events", Args: []string{"delivery"}}}, got); diff != "" {
		t.Errorf("Tools (-want +got):\n%s", diff)
	}
}
