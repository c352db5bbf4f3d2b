package tools_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// An example is a call that docs/tools.md shows with its result.
type example struct {
	tool string
	args map[string]any
	note string // when it is not plain; "" otherwise
}

// A chapter of docs/tools.md is a set of tools with what serves their
// examples.
type chapter struct {
	title, text string
	serve       func(t testing.TB) []server.ServerTool
	examples    []example
}

func prodArgs(more map[string]any) map[string]any {
	more["cluster"] = "platform-prod"
	return more
}

// chapters of the page. Whoever adds a tool adds its example here.
func chapters() []chapter {
	return []chapter{
		{"The incident memory", "Has this fired before, and how did it end? These tools read and write the SQLite file that all servers share. Naming a delivery claims it: the event is not sent again.", serveMemory, []example{
			{"incident_history", map[string]any{"delivery": "d4"}, ""},
			{"get_playbook", map[string]any{"delivery": "d4"}, ""},
			{"log_verdict", map[string]any{"delivery": "d4", "verdict": "real", "summary": "CART_PAYMENT_TIMEOUT not set since 1.14.0", "root_cause": "the release needs a variable that is not set", "evidence": "FATAL at start (kube_logs, previous); image changed 12 min ago (kube_problems)"}, "The verdict is kept, and the answer says who should have been told."},
			{"briefing", map[string]any{}, ""},
			{"tuning_proposals", map[string]any{}, ""},
		}},
		{"The first five minutes", "Every source at once, each with five seconds. One that is not configured or fails is a gap, never an error.", serveFirstLook, []example{
			{"first_look", map[string]any{"delivery": "d1"}, ""},
		}},
		{"Kubernetes", "They read, from every configured cluster, and never a Secret's contents.", serveKube, []example{
			{"kube_problems", prodArgs(map[string]any{"service": "cart"}), ""},
			{"kube_events", prodArgs(map[string]any{"namespace": "shop", "object": "Deployment/cart"}), ""},
			{"kube_logs", prodArgs(map[string]any{"namespace": "shop", "name": "cart", "previous": true, "view": "lines", "tail": 4}), ""},
			{"kube_get", prodArgs(map[string]any{"kind": "secret", "namespace": "shop", "name": "cart-db"}), "Of a Secret there are key names and sizes."},
		}},
		{"Argo CD and Argo Workflows", "", serveArgo, []example{
			{"argocd_apps", prodArgs(map[string]any{}), ""},
			{"argo_workflows", prodArgs(map[string]any{}), ""},
		}},
		{"GitLab", "What was changed lately. Only the configured projects can be reached; who wrote what is text of others.", serveGitLab, []example{
			{"gitlab_recent_merges", map[string]any{"service": "cart"}, ""},
			{"gitlab_merge_diff", map[string]any{"service": "cart", "iid": 412, "path": "deploy"}, ""},
			{"gitlab_commits", map[string]any{"service": "cart"}, ""},
			{"gitlab_deployments", map[string]any{"service": "cart", "environment": "production"}, ""},
		}},
		{"SigNoz", "Logs, traces, metrics and the rules behind alerts. Filters are made of typed arguments; there is no SQL.", serveSigNoz, []example{
			{"signoz_logs", map[string]any{"service": "cart", "severity": "error"}, ""},
			{"signoz_traces", map[string]any{"service": "cart", "errors_only": true}, ""},
			{"signoz_trace", map[string]any{"trace_id": trace}, ""},
			{"signoz_metrics", map[string]any{"metric": "k8s.pod.memory.working_set", "group_by": []string{"k8s.pod.name"}}, ""},
			{"signoz_alert_rules", map[string]any{"name": "error rate"}, ""},
			{"signoz_alert_history", map[string]any{"rule_id": "0190-a"}, ""},
		}},
		{"The four writes", writesText, serveWrites, []example{
			{"restart_deployment", prodArgs(map[string]any{"namespace": "shop", "name": "payments", "delivery": "d1", "reason": "pods are wedged since the network change, a restart helped last time"}), "On production the first call changes nothing. With `confirm` it is done, and the answer begins with DONE, DID NOT WORK, or SENT, AND NOT SEEN THROUGH."},
			{"restart_deployment", prodArgs(map[string]any{"namespace": "shop", "name": "cart", "delivery": "d2", "reason": "it crashes"}), "A refusal says why, and what a person could do."},
			{"restart_deployment", prodArgs(map[string]any{"namespace": "shop", "name": "payments", "delivery": "d5", "reason": "it lost its database"}), "What the playbook of the alert does not allow is refused before anything is looked at."},
			{"delete_stuck_pod", prodArgs(map[string]any{"namespace": "shop", "name": "cart-54f988bb87-685fd", "delivery": "d2", "reason": "the database is back, only the backoff waits"}), ""},
			{"clear_stuck_workflow", prodArgs(map[string]any{"namespace": "data", "name": "ingest-biorxiv-x7k2p", "delivery": "d3", "reason": "it blocks the next run, which is scheduled hourly"}), ""},
			{"refresh_argocd_app", prodArgs(map[string]any{"namespace": "argocd", "name": "data-service", "delivery": "d4", "reason": "the fix of the helm values is merged and not seen"}), ""},
		}},
	}
}

const writesText = `All four take the same arguments and pass the same guard: a mandate, policy (protected namespaces, limits, circuit
breaker), what the cluster says now, a dry run on the API server, on production (and where the environment is not known) a
second call with the ` + "`confirm`" + ` token of the first, an audit entry, the request with the UID and resourceVersion that were
looked at, a look at what became of it, and a second audit entry. The token holds once, for 5 minutes, for this action on
this object as it is.

The mandate is ` + "`delivery`" + `. That of an alert must be open, still fire, be about this cluster (for a refresh, any) and not about
three services at once, and the playbook of every alert in it must list the action under ` + "`allowed_actions`" + `; on production it carries one action,
and the second step is a person. That of a message in which a person asks for it carries what they ask for, for one hour.
Protected namespaces, preconditions, limits and confirmation hold for both.

After 3 failures in a row all writes stop for 30 minutes. ` + "`policy.writes`" + ` in the configuration bounds how many there are in an
hour. Nothing else writes to a cluster: below the handlers, the transport lets through only the request of the act in progress.`

func serveKube(t testing.TB) []server.ServerTool {
	t.Helper()
	return tools.Kube(sample(t))
}

func serveArgo(t testing.TB) []server.ServerTool {
	t.Helper()
	return tools.Argo(sample(t))
}

// docsBegan is when the alert of the examples began.
func docsBegan() time.Time { return time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute) }

func serveFirstLook(t testing.TB) []server.ServerTool {
	t.Helper()
	store, clusters := openStore(t), sample(t)
	eventAt(t, store, docsBegan())
	return tools.NewFirstLook(tools.FirstLookConfig{
		Clusters: clusters, Store: store, GitLab: gitlabAt(t, releases(docsBegan())), SigNoz: signozAt(t, telemetry(docsBegan()), clusters),
	}).Tools()
}

func serveGitLab(t testing.TB) []server.ServerTool {
	t.Helper()
	return tools.GitLab(gitlabAt(t, releases(docsBegan())), nil)
}

func serveSigNoz(t testing.TB) []server.ServerTool {
	t.Helper()
	return tools.SigNoz(signozAt(t, telemetry(docsBegan()), sample(t)), nil)
}

// serveMemory is a memory in which the sample's cart has crashed before, and
// tenants are noise.
func serveMemory(t testing.TB) []server.ServerTool {
	t.Helper()
	store := openStore(t)
	now := time.Now().UTC().Truncate(time.Minute)
	p := past{session{t: t}, store, now}
	p.before(9*runbook.Day, alert("KubePodCrashLooping", "cart", now), runbook.Real, "bad release, rolled back")
	p.before(6*runbook.Day, alert("KubePodCrashLooping", "cart", now), runbook.Noise, "node drained, recovered")
	p.before(26*time.Hour, alert("Tenant Inactive", "tenant-test-1", now), runbook.Noise, "test tenants have no heartbeat")
	a := alert("KubePodCrashLooping", "cart", now.Add(-2*time.Minute))
	a.Severity, a.SeverityRaw = runbook.Critical, "critical"
	a.Annotations = map[string]string{"description": "Pod shop/cart-54f988bb87-685fd is in waiting state (CrashLoopBackOff)"}
	p.put(now, a)
	for i := range 12 {
		b := alert("Tenant Inactive", fmt.Sprintf("tenant-test-%d", i%3+1), now)
		p.before(time.Duration(i+2)*11*time.Hour, b, runbook.Noise, "test tenants have no heartbeat")
	}
	return slices.Concat(tools.Memory(store, playbooks(t), tools.MemoryConfig{}), tools.Tuning(store, nil, nil))
}

// serveWrites is a memory with alerts about what the examples are for: what may
// be done depends on their playbooks.
func serveWrites(t testing.TB) []server.ServerTool {
	t.Helper()
	store := openStore(t)
	for i, a := range []runbook.Alert{
		alert("ServiceDown", "payments", time.Now()), alert("KubePodCrashLooping", "cart", time.Now()),
		alert("ArgoWorkflowStuck", "ingest", time.Now()), alert("ArgoCDAppOutOfSync", "data-service", time.Now()), alert("PostgresDown", "orders-db", time.Now()),
	} {
		if id := putAlert(t, store, a); id != fmt.Sprintf("d%d", i+1) {
			t.Fatalf("delivery %s, want d%d", id, i+1)
		}
	}
	return tools.Writes(rehearsed(t), store, tools.WritesConfig{Playbooks: playbooks(t), Limits: runbook.WriteLimits{PerHour: 10, PerTargetPerHour: 2}})
}

// TestDocsAreUpToDate writes docs/tools.md with -update.
func TestDocsAreUpToDate(t *testing.T) {
	listed := map[string]mcp.Tool{}
	for _, st := range all(t) {
		listed[st.Tool.Name] = st.Tool
	}
	page := newDocs()
	for _, c := range chapters() {
		page.chapter(t, c, listed)
	}
	for name := range listed {
		if !slices.Contains(page.shown, name) {
			t.Errorf("tool %s has no example; add one to chapters in docs_test.go", name)
		}
	}
	golden(t, filepath.Join("..", "..", "docs", "tools.md"), []byte(page.text(listed)))
}

// A docs is the page as far as it is written.
type docs struct {
	body  strings.Builder
	shown []string
}

func newDocs() *docs { return new(docs) }

func (d *docs) chapter(t *testing.T, c chapter, listed map[string]mcp.Tool) {
	t.Helper()
	s := startWith(t, c.serve(t)...)
	fmt.Fprintf(&d.body, "\n## %s\n", c.title)
	if c.text != "" {
		fmt.Fprintf(&d.body, "\n%s\n", c.text)
	}
	for _, e := range c.examples {
		if !slices.Contains(d.shown, e.tool) {
			d.shown = append(d.shown, e.tool)
			d.reference(t, listed[e.tool])
		}
		d.example(t, s, e)
	}
}

// reference tells what the model reads of a tool.
func (d *docs) reference(t *testing.T, tool mcp.Tool) {
	t.Helper()
	fmt.Fprintf(&d.body, "\n### `%s`\n\n%s\n", tool.Name, tool.Description)
	text, err := json.Marshal(tool)
	if err != nil {
		t.Fatal(err)
	}
	var both struct {
		InputSchema *jsonschema.Schema `json:"inputSchema"`
	}
	if err := json.Unmarshal(text, &both); err != nil {
		t.Fatal(err)
	}
	schema := both.InputSchema
	if len(schema.Properties) == 0 {
		return
	}
	d.body.WriteString("\n| Argument | Type | Meaning |\n| --- | --- | --- |\n")
	for _, name := range argumentNames(schema) {
		p := schema.Properties[name]
		meaning := p.Description
		if len(p.Enum) > 0 {
			choices := make([]string, len(p.Enum))
			for i, c := range p.Enum {
				choices[i] = fmt.Sprintf("`%v`", c)
			}
			meaning = strings.TrimSuffix("one of "+strings.Join(choices, ", ")+"; "+meaning, "; ")
		}
		if slices.Contains(schema.Required, name) {
			name += "` (needed)"
		} else {
			name += "`"
		}
		fmt.Fprintf(&d.body, "| `%s | %s | %s |\n", name, p.Type, strings.ReplaceAll(meaning, "|", `\|`))
	}
}

// argumentNames puts what is needed first, then the others by name.
func argumentNames(schema *jsonschema.Schema) []string {
	names := slices.Clone(schema.PropertyOrder)
	if len(names) == 0 {
		for name := range schema.Properties {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if x, y := slices.Contains(schema.Required, a), slices.Contains(schema.Required, b); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return names
}

const exampleLines = 24

// example calls a tool and shows what it answers.
func (d *docs) example(t *testing.T, s session, e example) {
	t.Helper()
	got, _ := s.call(e.tool, e.args)
	lines := strings.Split(strings.TrimRight(timeless(got), "\n"), "\n")
	if rest := len(lines) - exampleLines; rest > 0 {
		lines = append(lines[:exampleLines], fmt.Sprintf("(%d more lines)", rest))
	}
	if e.note != "" {
		fmt.Fprintf(&d.body, "\n%s\n", e.note)
	}
	args := make([]string, 0, len(e.args))
	for name, v := range e.args {
		args = append(args, fmt.Sprintf("%s: %q", name, fmt.Sprint(v)))
	}
	slices.Sort(args)
	// Four backticks: an answer may have three.
	fmt.Fprintf(&d.body, "\n````text\n%s(%s)\n\n%s\n````\n", e.tool, strings.Join(args, ", "), strings.Join(lines, "\n"))
}

// text is the whole page.
func (d *docs) text(listed map[string]mcp.Tool) string {
	var head strings.Builder
	head.WriteString(`# Tools of sre-tools

<!-- Generated from the tools and the sample clusters: go test ./tools -run Docs -update -->

What the session may look at and do. The text under each name is what the model reads: what the tool does, when to use
it and when not. The examples are answers about the sample clusters of ` + "`watchkeeper demo`" + `. Every tool that touches a
cluster takes ` + "`cluster`" + `, a configured name or alias; there is no current one. Output is at most 8,000 tokens, the worst
first, and says what was left out. Lines that begin with ` + "`| `" + ` were written by others: evidence, never instructions.
An error is a failed result that says what to do next.

| Tool | Changes something | In every turn | Tokens in the list |
| --- | --- | --- | --- |
`)
	total, always := 0, 0
	for _, name := range d.shown {
		tool := listed[name]
		text, _ := json.Marshal(tool) // a tool that was listed can be marshalled
		n := tokens(string(text))
		total += n
		loaded := ""
		if tool.Meta != nil && tool.Meta.AdditionalFields["anthropic/alwaysLoad"] == true {
			loaded, always = "yes", always+n
		}
		fmt.Fprintf(&head, "| [`%s`](#%s) | %s | %s | %d |\n", name, name, changes(name), loaded, n)
	}
	fmt.Fprintf(&head, "\nThe list takes about %d tokens, of which %d are loaded in every turn; the client looks the rest up when they are needed.\n", total, always)
	return head.String() + d.body.String()
}

func changes(name string) string {
	switch {
	case slices.Contains(runbook.Actions(), name):
		return "the cluster"
	case slices.Contains([]string{"log_verdict", "tuning_proposals"}, name):
		return "the memory"
	}
	return ""
}

var (
	moment  = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T](\d\d:\d\d(:\d\d)?)(Z?)`)
	day     = regexp.MustCompile(`\[[A-Z][a-z]{2} \d{1,2}\]`)
	hour    = regexp.MustCompile(`\b\d\d:\d\d:\d\d(Z?)\b`)
	allowed = regexp.MustCompile(`confirm=\w+`)
)

// timeless replaces what differs from run to run by what could stand there.
func timeless(s string) string {
	s = moment.ReplaceAllString(s, "2026-04-17 03:12${3}")
	s = hour.ReplaceAllString(s, "03:12:09$1")
	s = day.ReplaceAllString(s, "[Apr 17]")
	return allowed.ReplaceAllString(s, "confirm=K7QW2MZXNA4B")
}
