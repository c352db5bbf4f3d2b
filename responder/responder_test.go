package responder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/channels"
	"watchkeeper/demo/cluster"
	"watchkeeper/responder"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/tools"
)

// A duty is one life of a responder with its pump on a memory.
type duty struct {
	t       *testing.T
	store   *sqlite.Store
	stop    func()
	mu      sync.Mutex
	reports []responder.Report
}

func openStore(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// start puts a responder on duty over memory, as s if s is not nil, until the
// test ends or stop is called.
func start(t *testing.T, store *sqlite.Store, s responder.Store, looker responder.Looker) *duty {
	t.Helper()
	d := &duty{t: t, store: store}
	if s == nil {
		s = store
	}
	log := slog.New(slog.DiscardHandler)
	r := responder.New(responder.Config{Store: s, Looker: looker, Policy: policy(), Playbooks: playbooks(t), Log: log, Report: d.note})
	reader := channels.Reader{Past: store, Policy: policy(), Playbooks: playbooks(t)}
	pump := &channels.Pump{Channel: "webhook", Memory: store, Subject: reader.Subject, Sink: r, Log: log}
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := store.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	wg.Go(func() { _ = pump.Run(ctx, watch) })
	d.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		watch.Close()
	})
	t.Cleanup(d.stop)
	return d
}

func (d *duty) note(r responder.Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reports = append(d.reports, r)
}

// policy is what the operator of the tests decided.
func policy() runbook.Policy {
	return runbook.Policy{
		KnownNoise:     []runbook.Match{{Alert: "Tenant Inactive", Service: "tenant-test-*", Reason: "no heartbeat"}},
		EscalateAlways: []runbook.Match{{Category: "database"}},
	}
}

func playbooks(t *testing.T) runbook.Playbooks {
	t.Helper()
	all, err := runbook.LoadPlaybooks(os.DirFS("../playbooks"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// samples looks at the sample clusters.
func samples(t *testing.T) responder.Looker {
	t.Helper()
	srv := httptest.NewServer(cluster.New(time.Now()))
	t.Cleanup(srv.Close)
	var all []tools.ClusterConfig
	for _, name := range cluster.Names() {
		env := runbook.Prod
		if strings.HasSuffix(name, "dev") {
			env = runbook.Dev
		}
		all = append(all, tools.ClusterConfig{Name: name, Env: env, Config: cluster.RESTConfig(srv.URL, name)})
	}
	return responder.FirstLook{Tools: tools.NewFirstLook(tools.FirstLookConfig{Clusters: tools.NewClusters(all...)})}
}

// alert is one that fires since ten minutes.
func alert(name, service, clusterName string, change ...func(*runbook.Alert)) runbook.Alert {
	a := runbook.Alert{
		Source: "test", Fingerprint: name + service + clusterName, StartsAt: time.Now().Add(-10 * time.Minute),
		Status: runbook.Firing, Name: name, Severity: runbook.Warning, Env: runbook.Prod, Service: service, Cluster: clusterName,
	}
	if strings.HasSuffix(clusterName, "dev") {
		a.Env = runbook.Dev
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

func critical(a *runbook.Alert) { a.Severity = runbook.Critical }
func resolved(a *runbook.Alert) { a.Status, a.EndsAt = runbook.Resolved, a.StartsAt.Add(4*time.Minute) }
func noData(a *runbook.Alert)   { a.NoData = true }
func test(a *runbook.Alert)     { a.Test = true }
func unrecognised(a *runbook.Alert) {
	a.Unrecognised, a.Body = true, `{"x":1}`
}

func put(t *testing.T, store *sqlite.Store, alerts ...runbook.Alert) {
	t.Helper()
	if _, err := store.Put(t.Context(), runbook.Batch{Source: "test", ReceivedAt: time.Now(), Alerts: alerts}); err != nil {
		t.Fatal(err)
	}
}

// waitDone returns when every event is done.
func waitDone(t *testing.T, store *sqlite.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch, err := store.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	for {
		open, err := store.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(open) == 0 {
			return
		}
		if err := watch.Wait(ctx, time.Second); err != nil {
			t.Fatalf("%d events are still open, the first: %+v", len(open), open[0])
		}
	}
}

// escalations returns all of them.
func escalations(t *testing.T, store *sqlite.Store) []runbook.Escalation {
	t.Helper()
	all, err := store.Escalations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// incident is the record of the only delivery.
func incident(t *testing.T, store *sqlite.Store, id runbook.DeliveryID) runbook.Incident {
	t.Helper()
	in, err := store.Incident(t.Context(), id)
	if err != nil {
		t.Fatalf("Incident(%s): %v", id, err)
	}
	return in
}

// seed stores n earlier firings of a with verdict v, an hour apart.
func seed(t *testing.T, store *sqlite.Store, a runbook.Alert, n int, v runbook.Verdict) {
	t.Helper()
	for i := range n {
		at := time.Now().Add(-time.Duration(n-i+1) * time.Hour)
		a.StartsAt, a.EndsAt, a.Status = at, at.Add(4*time.Minute), runbook.Resolved
		put(t, store, func() runbook.Alert { b := a; b.Status, b.EndsAt = runbook.Firing, time.Time{}; return b }())
		open, err := store.Open(t.Context())
		if err != nil || len(open) != 1 {
			t.Fatalf("%d events open (%v), want the seeded one", len(open), err)
		}
		_, err = store.LogVerdict(t.Context(), runbook.Incident{Delivery: open[0].ID, Verdict: v, Summary: "seeded", DecidedBy: "session", DecidedAt: at}, false)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerdicts(t *testing.T) {
	latency := alert("High Latency", "openaire-test", "platform-prod")
	tests := []struct {
		name  string
		seeds int
		as    runbook.Verdict // of the seeds
		alert runbook.Alert
		want  runbook.Verdict
		why   string // part of the escalation's text, or of the summary of noise
	}{
		{"known noise is dismissed", 0, "", alert("Tenant Inactive", "tenant-test-7", "platform-prod"), runbook.Noise, "no heartbeat"},
		{"known noise is not, when critical on prod", 0, "", alert("Tenant Inactive", "tenant-test-1", "platform-prod", critical), runbook.Real, "critical on production"},
		{"known noise that was real lately is looked at", 1, runbook.Real, alert("Tenant Inactive", "tenant-test-9", "platform-prod"), runbook.Real, "but real once in 7 days"},
		{"known noise is dismissed on dev, even critical", 0, "", alert("Tenant Inactive", "tenant-test-1", "platform-dev", critical), runbook.Noise, "no heartbeat"},
		{"a database goes to a person", 0, "", alert("PostgreSQL connections", "postgres", "platform-prod"), runbook.Real, "policy: always"},
		{"a database goes to a person even when it resolved", 0, "", alert("PostgreSQL connections", "postgres", "platform-prod", resolved), runbook.Real, "policy: always"},
		{"what resolved by itself is noise", 0, "", alert("High Latency", "checkout-api", "platform-prod", resolved, critical), runbook.Noise, "resolved by itself after 4 min"},
		{"what resolved while its service crashes is not", 0, "", alert("High Latency", "cart", "platform-prod", resolved), runbook.Real, "CrashLoopBackOff"},
		{"a pod that recovered is noise", 0, "", alert("KubePodOOMKilled", "export-worker", "platform-dev"), runbook.Noise, "recovered after exit 137"},
		{"a crash loop is real", 0, "", alert("KubePodCrashLooping", "cart", "platform-prod", critical), runbook.Real, "cart:1.13.2 → cart:1.14.0"},
		{"healthy pods do not prove that latency is over", 0, "", latency, runbook.Real, "does not show that this is over"},
		{"with a long run of noise they do", 6, runbook.Noise, latency, runbook.Noise, "noise in 7 days"},
		{"a run of noise alone does not", 6, runbook.Noise, alert("High Latency", "gone", "platform-prod"), runbook.Real, "not proven"},
		{"what was real the last time is real", 1, runbook.Real, alert("KubePodOOMKilled", "export-worker", "platform-dev"), runbook.Real, "and the last time"},
		{"critical on prod is never noise while it fires", 6, runbook.Noise, alert("KubePodNotReady", "openaire-test", "platform-prod", critical), runbook.Real, "critical on production"},
		{"a part of a name is no proof", 0, "", alert("KubePodNotReady", "openaire", "platform-prod"), runbook.Real, "not proven"},
		{"lost data proves nothing", 0, "", alert("KubePodNotReady", "openaire-test", "platform-prod", noData), runbook.Real, "lost its data"},
		{"an unknown cluster is looked at by a person", 0, "", alert("KubePodNotReady", "openaire-test", "mars"), runbook.Real, "unknown cluster"},
		{"no cluster too", 0, "", alert("KubePodNotReady", "openaire-test", ""), runbook.Real, "The alert names no cluster; only platform-prod runs a workload called openaire-test"},
		{"an unknown format is real", 0, "", alert("backup failed", "", "", unrecognised), runbook.Real, `Body: {"x":1}`},
		{"a test alert goes through", 0, "", alert("Test Alert (x)", "", "", critical, test), runbook.Real, "INFO: a test alert"},
	}
	looker := samples(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
			seed(t, store, tt.alert, tt.seeds, tt.as)
			// A resolve of something unknown needs no verdict: it must fire first.
			firing := tt.alert
			firing.Status, firing.EndsAt = runbook.Firing, time.Time{}
			put(t, store, firing)
			if tt.alert.Status == runbook.Resolved {
				put(t, store, tt.alert)
			}
			start(t, store, nil, looker)
			waitDone(t, store)
			checkVerdict(t, store, runbook.DeliveryID(tt.seeds+1), tt.want, tt.why)
		})
	}
}

// checkVerdict checks the record of id, and that a person was told exactly of
// what is real.
func checkVerdict(t *testing.T, store *sqlite.Store, id runbook.DeliveryID, want runbook.Verdict, why string) {
	t.Helper()
	in := incident(t, store, id)
	if in.Verdict != want || in.Escalated != (want == runbook.Real) || in.DecidedBy != "responder" {
		t.Errorf("verdict %q, escalated %v, by %s: %s; want %q by the responder", in.Verdict, in.Escalated, in.DecidedBy, in.Summary, want)
	}
	if !strings.Contains(in.Evidence, "No model was involved.") {
		t.Errorf("evidence does not say that no model was involved: %s", in.Evidence)
	}
	told, err := store.Messages(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if want == runbook.Noise {
		if len(told) != 0 || !strings.Contains(in.Summary, why) {
			t.Errorf("summary %q and %d messages, want %q and none", in.Summary, len(told), why)
		}
		return
	}
	if len(told) != 1 {
		t.Fatalf("%d messages, want one", len(told))
	}
	for _, want := range []string{why, "No model was involved.", "Nothing is changed"} {
		if !strings.Contains(told[0].Text, want) {
			t.Errorf("message lacks %q:\n%s", want, told[0].Text)
		}
	}
}

func TestOneServiceOfManyMakesAnEventReal(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
	put(t, store, alert("Tenant Inactive", "tenant-test-1", "platform-prod"), alert("Tenant Inactive", "tenant-acme", "platform-prod"))
	put(t, store, alert("Tenant Inactive", "tenant-test-1", "platform-dev"), alert("Tenant Inactive", "tenant-test-2", "platform-dev"))
	start(t, store, nil, samples(t))
	waitDone(t, store)
	if got := incident(t, store, 1); got.Verdict != runbook.Real {
		t.Errorf("verdict of a test tenant and a real one = %s, want real", got.Verdict)
	}
	if got := incident(t, store, 2); got.Verdict != runbook.Noise {
		t.Errorf("verdict of two test tenants = %s, want noise", got.Verdict)
	}
}

func TestAStormIsOneEscalation(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
	var storm []runbook.Alert
	for i := range 30 {
		storm = append(storm, alert(fmt.Sprintf("rule %d", i), "cart", "platform-prod", critical))
	}
	put(t, store, storm...)
	start(t, store, nil, samples(t))
	waitDone(t, store)
	all := escalations(t, store)
	if len(all) != 1 || all[0].Title != "30 alerts at once" {
		t.Fatalf("escalations %+v, want one of 30 alerts", all)
	}
	if !strings.Contains(all[0].Found, "and 24 more alerts") || !strings.Contains(all[0].Found, "CrashLoopBackOff") {
		t.Errorf("found %q, want the groups and what is wrong in the cluster", all[0].Found)
	}
}

func TestAFloodThatIsNoStormGoesTogether(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
	d := start(t, store, nil, nil)
	const events = 12
	for i := range events {
		put(t, store, alert(fmt.Sprintf("rule %d", i), "cart", "platform-prod"))
		waitDone(t, store)
	}
	all := escalations(t, store)
	if len(all) != 6 {
		t.Fatalf("%d escalations of %d alerts, want 5 and one for the rest", len(all), events)
	}
	if got := strings.Count(all[5].Found, "\n") + 1; got != events-5 {
		t.Errorf("the flood holds %d lines, want %d:\n%s", got, events-5, all[5].Found)
	}
	put(t, store, alert("worse", "cart", "platform-prod", critical))
	waitDone(t, store)
	if all = escalations(t, store); len(all) != 7 || all[6].Severity != runbook.Critical {
		t.Errorf("%d escalations, want one more for what is worse than the flood", len(all))
	}
	d.stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.reports {
		if r.Verdict != runbook.Real || r.Escalation == nil {
			t.Errorf("report of %s: %+v, want real and escalated", r.Delivery.Alert, r)
		}
	}
}

// A killer is a store whose process ends at call number at: that call and all
// that follow fail, before or after they did their work.
type killer struct {
	*sqlite.Store
	mu    sync.Mutex
	at    int
	after bool
	dead  chan struct{}
}

var errKilled = errors.New("killed")

func (k *killer) step(work func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at--
	switch {
	case k.at > 0:
		return work()
	case k.at == 0:
		if k.after {
			_ = work()
		}
		close(k.dead)
	}
	return errKilled
}

func (k *killer) Claim(ctx context.Context, id runbook.DeliveryID, now time.Time) (d runbook.Delivery, err error) {
	return d, k.step(func() error { d, err = k.Store.Claim(ctx, id, now); return err })
}

func (k *killer) Alerts(ctx context.Context, id runbook.DeliveryID, limit int) (a []runbook.Occurrence, err error) {
	return a, k.step(func() error { a, err = k.Store.Alerts(ctx, id, limit); return err })
}

func (k *killer) Escalate(ctx context.Context, e runbook.Escalation, text string) (out runbook.Escalation, created bool, err error) {
	return out, created, k.step(func() error { out, created, err = k.Store.Escalate(ctx, e, text); return err })
}

func (k *killer) LogVerdict(ctx context.Context, in runbook.Incident, revise bool) (out runbook.Incident, err error) {
	return out, k.step(func() error { out, err = k.Store.LogVerdict(ctx, in, revise); return err })
}

func TestKilledAnywhereNothingIsLostOrDoneTwice(t *testing.T) {
	// The claim and two reads of the alerts, then the escalation, then the
	// verdict.
	const calls = 5
	looker := samples(t)
	for at := 1; at <= calls; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at call %d, after its work %v", at, after), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "memory.db")
				first := openStore(t, path)
				put(t, first, alert("KubePodCrashLooping", "cart", "platform-prod", critical))
				k := &killer{Store: first, at: at, after: after, dead: make(chan struct{})}
				d := start(t, first, k, looker)
				select {
				case <-k.dead:
				case <-time.After(20 * time.Second):
					t.Fatalf("call %d was never made", at)
				}
				d.stop()
				first.Close()

				second := openStore(t, path)
				start(t, second, nil, looker)
				waitDone(t, second)
				checkVerdict(t, second, 1, runbook.Real, "cart:1.13.2 → cart:1.14.0")
				if got := escalations(t, second); len(got) != 1 {
					t.Errorf("%d escalations, want one", len(got))
				}
			})
		}
	}
}

func TestItListensOnlyWhileItRuns(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
	r := responder.New(responder.Config{Store: store, Log: slog.New(slog.DiscardHandler)})
	if err := r.Push(t.Context(), channels.Event{}); r.Session() != 0 || !errors.Is(err, channels.ErrNoSession) {
		t.Errorf("before Run: session %d, Push = %v, want 0 and ErrNoSession", r.Session(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil || r.Session() != 0 {
		t.Errorf("Run of a done context = %v, session %d, want nil and 0", err, r.Session())
	}
}
