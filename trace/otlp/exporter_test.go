package otlp_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/mcptool"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/secret"
	fake "watchkeeper/test/fakes/otlp"
	"watchkeeper/trace"
	"watchkeeper/trace/otlp"
)

// A journey is an alert on its way through a real memory.
type journey struct {
	t        *testing.T
	store    *sqlite.Store
	exporter *otlp.Exporter
	receiver *fake.Receiver
	log      *bytes.Buffer
	quick    bool // its claim comes before the push is noted, as the responder's can
}

func newJourney(t *testing.T) *journey {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "watchkeeper.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	j := &journey{t: t, store: store, receiver: new(fake.Receiver), log: new(bytes.Buffer)}
	srv := httptest.NewServer(j.receiver)
	t.Cleanup(srv.Close)
	j.exporter = &otlp.Exporter{
		Memory: store, Endpoint: srv.URL + "/v1/traces", Headers: secret.New("signoz-ingestion-key=top%20secret"),
		Version: "1", Log: slog.New(slog.NewTextHandler(j.log, nil)),
	}
	return j
}

// step exports and returns what arrived.
func (j *journey) step() ([]fake.Span, error) {
	_, err := j.exporter.Step(j.t.Context())
	return j.receiver.Take(), err
}

// key is what the receiver was sent as its key.
func key(r *fake.Receiver) string { return r.Header().Get("Signoz-Ingestion-Key") }

// travel takes an alert from its reception to its verdict.
func (j *journey) travel(name string) {
	j.t.Helper()
	ctx, now := j.t.Context(), time.Now().Add(-time.Minute)
	r := trace.New(j.store, "sre-tools", j.exporter.Log)
	b := runbook.Batch{Source: "alertmanager", Format: "alertmanager", ReceivedAt: now, Alerts: []runbook.Alert{{
		Source: "alertmanager", Fingerprint: name, StartsAt: now, Status: runbook.Firing, Name: name, Service: "cart",
		Cluster: "prod", Severity: runbook.Critical, Env: runbook.Prod,
	}}}
	check := func(err error) {
		j.t.Helper()
		if err != nil {
			j.t.Fatal(err)
		}
	}
	_, err := j.store.Put(ctx, b)
	check(err)
	trace.New(j.store, "intake", j.exporter.Log).Received(ctx, b, now, now.Add(time.Millisecond), now.Add(3*time.Millisecond))
	open, err := j.store.Open(ctx)
	check(err)
	id := open[0].ID
	if !j.quick {
		check(j.store.MarkPushed(ctx, id, 1, now.Add(time.Second)))
	}
	_, err = j.store.Claim(ctx, id, now.Add(2*time.Second))
	check(err)
	if j.quick {
		check(j.store.MarkPushed(ctx, id, 1, now.Add(3*time.Second)))
	}
	type args struct {
		Delivery string `json:"delivery,omitempty"`
		Cluster  string `json:"cluster,omitempty"`
		Pattern  string `json:"pattern,omitempty"`
	}
	tools := r.Tools([]server.ServerTool{mcptool.New("kube_logs", "logs", mcptool.ReadOnly, func(context.Context, args) (string, error) { return "ok", nil })})
	for _, a := range []map[string]any{
		{"delivery": id.String(), "cluster": "prod", "pattern": "password=hunter2"},
		{"cluster": "prod"}, // the only one under investigation is meant
	} {
		_, err := tools[0].Handler(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "kube_logs", Arguments: a}})
		check(err)
	}
	_, err = j.store.LogVerdict(ctx, runbook.Incident{Delivery: id, Verdict: runbook.Real, Summary: "cart crashes", DecidedBy: "session", DecidedAt: now.Add(30 * time.Second)}, false)
	check(err)
}

func TestOneTraceFromReceptionToVerdict(t *testing.T) {
	j := newJourney(t)
	j.travel("CartDown")
	spans, err := j.step()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	root := fake.Span{}
	for _, s := range spans {
		got = append(got, s.Service+": "+s.Name)
		if s.Parent == "" {
			root = s
		}
	}
	slices.Sort(got)
	want := []string{
		"intake: receive", "intake: store", "sre-tools: tool kube_logs", "sre-tools: tool kube_logs",
		"watchkeeper: alert CartDown", "watchkeeper: decide", "watchkeeper: wait for a claim", "watchkeeper: wait for a push",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("spans %q, want %q", got, want)
	}
	ids := map[string]bool{}
	for _, s := range spans {
		if s.Trace != root.Trace || s.ID != root.ID && s.Parent != root.ID || ids[s.ID] {
			t.Errorf("%+v is no child of %+v, or there twice", s, root)
		}
		ids[s.ID] = true
		if want := map[string]string{"cluster": "prod", "tool": "kube_logs"}; strings.HasPrefix(s.Name, "tool") && !maps.Equal(s.Facts, want) {
			t.Errorf("%s carries %q, want the tool and the cluster alone", s.Name, s.Facts)
		}
	}
	if root.Facts["verdict"] != "real" || root.Facts["delivery"] != "d1" {
		t.Errorf("the root carries %q, want the delivery and its verdict", root.Facts)
	}
	if got := key(j.receiver); got != "top secret" {
		t.Errorf("the receiver got the key %q", got)
	}
	if again, err := j.step(); err != nil || len(again) != 0 {
		t.Errorf("the next step exports %v, %v; want nothing", again, err)
	}
}

// TestANagIsPartOfEveryTraceThatItIsAbout sends one message for two alerts.
func TestAClaimBeforeThePushIsNotedLosesNoStage(t *testing.T) {
	j := newJourney(t)
	j.quick = true
	j.travel("CartDown")
	spans, err := j.step()
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"wait for a push", "wait for a claim", "decide"} {
		if !slices.ContainsFunc(spans, func(s fake.Span) bool { return s.Name == stage }) {
			t.Errorf("%q is missing in %v", stage, spans)
		}
	}
}

func TestANagIsPartOfEveryTraceThatItIsAbout(t *testing.T) {
	j := newJourney(t)
	ctx, now := t.Context(), time.Now()
	var about []int64
	for i, name := range []string{"CartDown", "DiskFull"} {
		j.travel(name)
		e, _, err := j.store.Escalate(ctx, runbook.Escalation{
			Key: name, Delivery: runbook.DeliveryID(i + 1), Title: name, Severity: runbook.Critical, Env: runbook.Prod, OpenedBy: "session", OpenedAt: now,
		}, name)
		if err != nil {
			t.Fatal(err)
		}
		about = append(about, e.ID)
	}
	if err := j.store.Send(ctx, runbook.Message{Key: "nag:1", Kind: "nag", Text: "still", About: about, CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	due, err := j.store.Outbox(ctx, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range due {
		if err := j.store.MarkSent(ctx, m.ID, "D1", m.Key, now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	spans, err := j.step()
	if err != nil {
		t.Fatal(err)
	}
	told := map[string][]string{}
	for _, s := range spans {
		if strings.HasPrefix(s.Name, "tell a person") {
			told[s.Trace] = append(told[s.Trace], s.Facts["message.kind"])
		}
	}
	if len(told) != 2 {
		t.Errorf("messages in %d traces, want 2", len(told))
	}
	for trace, kinds := range told {
		if slices.Sort(kinds); !slices.Equal(kinds, []string{"escalation", "nag"}) {
			t.Errorf("trace %s tells of %q, want the escalation and the nag", trace, kinds)
		}
	}
}

func TestAReceiverThatIsDownIsCaughtUpWith(t *testing.T) {
	j := newJourney(t)
	j.receiver.Refuse(http.StatusServiceUnavailable)
	j.travel("CartDown")
	if _, err := j.step(); err == nil || !strings.Contains(err.Error(), "503") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error = %v, want one with the status and without the key", err)
	}
	j.receiver.Refuse(0)
	if spans, err := j.step(); err != nil || len(spans) != 8 {
		t.Errorf("later %d spans arrive, %v; want all 8", len(spans), err)
	}
}

func TestTheKeyFollowsNoRedirect(t *testing.T) {
	j := newJourney(t)
	elsewhere := new(fake.Receiver)
	other := httptest.NewServer(elsewhere)
	t.Cleanup(other.Close)
	turn := httptest.NewServer(http.RedirectHandler(other.URL+"/v1/traces", http.StatusTemporaryRedirect))
	t.Cleanup(turn.Close)
	j.exporter.Endpoint = turn.URL + "/v1/traces"
	j.travel("CartDown")
	if _, err := j.step(); err == nil || elsewhere.Header() != nil {
		t.Errorf("error = %v and elsewhere is asked with %v, want an error alone", err, elsewhere.Header())
	}
}

func TestWhatIsRefusedForGoodIsDropped(t *testing.T) {
	j := newJourney(t)
	j.receiver.Refuse(http.StatusBadRequest)
	j.travel("CartDown")
	if _, err := j.step(); err != nil {
		t.Errorf("error = %v, want none: it would be refused again", err)
	}
	j.receiver.Refuse(0)
	if spans, err := j.step(); err != nil || len(spans) != 0 {
		t.Errorf("later %d spans arrive, %v; want none", len(spans), err)
	}
	if !strings.Contains(j.log.String(), "dropped") {
		t.Errorf("the log says %q, want that they are dropped", j.log)
	}
}

// TestWithoutAReceiverNothingIsKept pins that a nil Recorder leaves everything
// as it is.
func TestWithoutAReceiverNothingIsKept(t *testing.T) {
	var r *trace.Recorder
	tools := []server.ServerTool{mcptool.New("briefing", "", mcptool.ReadOnly, func(context.Context, struct{}) (string, error) { return "", nil })}
	if got := r.Tools(tools); &got[0] != &tools[0] {
		t.Error("the tools are wrapped, want them as they are")
	}
	r.Received(t.Context(), runbook.Batch{}, time.Now(), time.Now(), time.Now())
}
