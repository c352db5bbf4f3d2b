package tools_test

import (
	"strings"
	"testing"
	"time"

	"watchkeeper/test/fakes/gitlab"
	"watchkeeper/test/fakes/signoz"
	"watchkeeper/tools"
)

// lookTokens bounds a first look.
const lookTokens = 3000

// everywhere is a first look at the sample, with a release and telemetry that
// go with an alert that began then. The returned name is its delivery.
func everywhere(t *testing.T, began time.Time, hub *gitlab.Server, sig *signoz.Server) (session, string) {
	t.Helper()
	store, clusters := openStore(t), sample(t)
	look := tools.NewFirstLook(tools.FirstLookConfig{
		Clusters: clusters, Store: store, GitLab: gitlabAt(t, hub), SigNoz: signozAt(t, sig, clusters), Timeout: 2 * time.Second,
	})
	return startWith(t, look.Tools()...), eventAt(t, store, began)
}

func TestFirstLookGathersEverySource(t *testing.T) {
	began := time.Now().UTC().Truncate(time.Second).Add(-10 * time.Minute)
	s, id := everywhere(t, began, releases(began), telemetry(began))
	got := s.ok("first_look", map[string]any{"delivery": id})
	contains(t, got,
		"CrashLoopBackOff",           // pods
		"cart:1.13.2", "cart:1.14.0", // images, before and after
		"!412",                               // merges
		"#77",                                // deployments
		"CART_PAYMENT_TIMEOUT",               // the decisive log line
		"First time in 30 days",              // history
		"25 % of requests fail", "92 % full", // telemetry
	)
	if n := tokens(got); n > lookTokens {
		t.Errorf("a first look takes %d tokens, want at most %d", n, lookTokens)
	}
	checkContained(t, got)
}

// TestASilentSourceIsAGap asks sources that never answer, and one that refuses.
func TestASilentSourceIsAGap(t *testing.T) {
	began := time.Now().UTC().Add(-10 * time.Minute)
	hub, sig := releases(began), telemetry(began)
	hub.Fail(&gitlab.Fault{Status: 401})
	sig.Fail(&signoz.Fault{Hang: true})
	s, id := everywhere(t, began, hub, sig)
	got := s.ok("first_look", map[string]any{"delivery": id})
	contains(t, got, "SigNoz did not answer in 2s", "GitLab (merges): ", "CrashLoopBackOff")
}

func TestWhatIsNotConfiguredIsAGap(t *testing.T) {
	look := tools.NewFirstLook(tools.FirstLookConfig{Clusters: sample(t), Store: openStore(t)})
	s := startWith(t, look.Tools()...)
	got := s.ok("first_look", map[string]any{"cluster": "platform-prod", "service": "cart", "namespace": "shop"})
	contains(t, got, "CrashLoopBackOff", "GitLab (merges): not configured", "SigNoz: not configured")
}

func TestFirstLookSaysWhatItNeeds(t *testing.T) {
	s := startWith(t, tools.NewFirstLook(tools.FirstLookConfig{Clusters: sample(t), Store: openStore(t)}).Tools()...)
	tests := []struct {
		name string
		args map[string]any
		want string
	}{
		{"nothing", map[string]any{}, "give delivery (d42), or cluster"},
		{"a delivery that is none", map[string]any{"delivery": "dog"}, "it is written d42"},
		{"an unknown delivery", map[string]any{"delivery": "d999"}, "d999"},
		{"no time", map[string]any{"cluster": "platform-prod", "at": "soon"}, "at: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, failed := session{t, s.srv}.call("first_look", tt.args)
			if !failed || !strings.Contains(got, tt.want) {
				t.Errorf("first_look%v = %q (failed %t), want an error with %q", tt.args, got, failed, tt.want)
			}
		})
	}
}
