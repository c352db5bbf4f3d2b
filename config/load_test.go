package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/config"
	"watchkeeper/runbook"
)

// load writes text to a file and loads it with env as the environment.
func load(t *testing.T, text string, env map[string]string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, lookup(env))
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

// compare ignores nothing but the pointers inside secrets and time zones.
func compare(want, got config.Config) string {
	want.Path, got.Path = "", ""
	return cmp.Diff(want, got,
		cmp.Comparer(func(a, b config.Clock) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b config.Secrets) bool { return a == b }))
}

func TestLoadOfNothingGivesTheDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, text := range []string{"", "# only a comment\n", "---\n", "oncall:\nsession:\n  mode:\n"} {
		got, err := load(t, text, nil)
		if err != nil {
			t.Errorf("Load of %q: %v", text, err)
		}
		if diff := compare(config.Default(), got); diff != "" {
			t.Errorf("Load of %q (-want +got):\n%s", text, diff)
		}
	}
	got, err := config.Load("", nil)
	if err != nil || got.Path != "" {
		t.Errorf("Load without a file = path %q, %v, want none", got.Path, err)
	}
}

func TestLoadFindsTheFileOfTheCurrentDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(config.DefaultFile, []byte("listen: localhost:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "localhost:1" || !filepath.IsAbs(got.Path) {
		t.Errorf("Load = listen %q, path %q, want localhost:1 and an absolute path", got.Listen, got.Path)
	}
}

func TestLoadOfANamedFileThatIsAbsentFails(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "absent.yaml"), nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("Load = %v, want that absent.yaml does not exist", err)
	}
}

func TestLoadReadsTheExample(t *testing.T) {
	got, err := config.Load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.OnCall.SlackUser, want.OnCall.Second = "U0123AB4CD", "U0456EF7GH"
	want.OnCall.QuietHours = hours(t, "22:00-07:00 Europe/Paris")
	want.Clusters = map[string]config.Cluster{
		"platform-prod": {Context: "prod-par", Env: runbook.Prod, Aliases: []string{"platform", "prod-par1"}, Heartbeat: config.Interval(15 * time.Minute)},
		"platform-dev":  {Context: "dev-par", Env: runbook.Dev},
	}
	want.Policy.ProtectedNamespaces = []string{"kube-system", "argocd", "database"}
	want.Policy.KnownNoise = []runbook.Match{{Alert: "Tenant Inactive", Service: "tenant-test-*", Reason: "test tenants have no heartbeat"}}
	want.Policy.EscalateAlways = []runbook.Match{{Category: "database"}, {Category: "certificate"}, {Alert: "*mTLS*"}}
	want.SigNoz.URL = "https://signoz.example.com"
	want.GitLab.URL = "https://gitlab.example.com"
	want.GitLab.Projects = map[string]string{"backend": "group/backend", "data-service": "group/data-service"}
	want.Session.RestartAt = clock(t, "04:00 Europe/Paris")
	want.Watch.Senders = map[string]config.Interval{"signoz": config.Interval(24 * time.Hour)}
	if diff := compare(want, got); diff != "" {
		t.Errorf("Load(%q) (-want +got):\n%s", example, diff)
	}
}

func TestLoadFillsInWhatDependsOnOtherValues(t *testing.T) {
	got, err := load(t, `
clusters: {one: , two: {kubeconfig: /k}}
signoz: {url: "http://signoz:8080/"}
slack: {api_url: "http://127.0.0.1:99/api"}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Clusters = map[string]config.Cluster{
		"one": {Context: "one", Env: runbook.EnvUnknown},
		"two": {Context: "two", Env: runbook.EnvUnknown, Kubeconfig: "/k"},
	}
	want.SigNoz.URL = "http://signoz:8080"
	want.Slack.APIURL = "http://127.0.0.1:99/api/"
	if diff := compare(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestLoadReportsEachMistakeWithItsLine(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"unknown key", "\nlisten: localhost:1\nlissten: x", `w.yaml:3: lissten: is not a key here; want one of listen, oncall,`},
		{"unknown key deeper down", "session:\n  mdoe: auto", `w.yaml:2: session.mdoe: is not a key here; want one of mode, restart_at,`},
		{"key given twice", "listen: localhost:1\nslack:\nlisten: localhost:2", "w.yaml:3: listen: is given twice, first on line 1; want it once"},
		{"key that is no text", "clusters:\n  1: {}", "w.yaml:2: clusters: has a key that is a number; want text"},
		{"broken YAML", "listen: localhost:1\n  x: y", "w.yaml:2: not valid YAML: mapping values are not allowed"},
		{"two documents", "listen: localhost:1\n---\nslack:", "w.yaml:2: a second document starts here; want one"},
		{"a list for the whole", "- a", "w.yaml:1: is a list; want a mapping of keys to values"},
		{"anchor", "session: &s\n  mode: auto", "w.yaml:1: session: is an anchor or an alias"},
		{"number for text", "session:\n  model: 4", "w.yaml:2: session.model: is a number; want text"},
		{"text for a number", "policy: {writes: {per_hour: '10'}}", "policy.writes.per_hour: is text; want a number from 0"},
		{"text for a list", "clusters: {a: {aliases: b}}", "clusters.a.aliases: is text; want a list"},
		{"list for a mapping", "clusters: [a]", "clusters: is a list; want a mapping of keys to values"},
		{"empty item", "policy:\n  protected_namespaces:\n  - a\n  -\n", "w.yaml:4: policy.protected_namespaces[1]: is empty; want a value"},
		{"number too large", "oncall: {second_after_nags: 99999999}", `second_after_nags: "99999999" is out of range; want a number from 1`},
		{"history shorter than it looks back", "retention: {incident_days: 30}", `retention.incident_days: "30" is out of range; want a number of days from 31`},
		{"texts that outlive their incident", "retention: {raw_days: 90, incident_days: 60}", "60 days are fewer than the 90 of raw_days"},
		{"address without port", "listen: localhost", `listen: "localhost" is wrong; want host:port, as in 127.0.0.1:8788`},
		{"environment", "clusters: {a: {env: staging}}", `clusters.a.env: "staging" is wrong; want one of prod, dev`},
		{"name of a cluster", "clusters: {a b: {}}", `clusters: "a b" is wrong as a key; want letters, digits`},
		{"alias of two clusters", "clusters:\n  a: {aliases: [x]}\n  b:\n    aliases: [y, X]", `w.yaml:4: clusters.b.aliases[1]: "X" means the cluster a already`},
		{"alias that is a cluster", "clusters:\n  a:\n  b: {aliases: [A]}", `w.yaml:3: clusters.b.aliases[0]: "A" means the cluster a already`},
		{"alias that is its own cluster", "clusters: {a: {aliases: [a]}}", `"a" means this cluster already; want it once`},
		{"malformed glob", "policy: {known_noise: [{alert: 'a[', reason: r}]}", `policy.known_noise[0].alert: "a[" is wrong; want a glob`},
		{"rule that matches everything", "policy:\n  escalate_always:\n  - reason: r", "w.yaml:3: policy.escalate_always[0]: matches every alert; want at least one of"},
		{"Slack user", "oncall: {slack_user: '@bob'}", `oncall.slack_user: "@bob" is wrong; want a Slack user ID such as`},
		{"the same person twice", "oncall: {slack_user: U012345, second: U012345}", "oncall.second: is the person of slack_user again"},
		{"URL", "signoz: {url: 'signoz.example.com'}", "signoz.url: is wrong; want an http or https URL"},
		{"empty URL of Slack", "slack: {api_url: ''}", "slack.api_url: is wrong; want an http or https URL"},
		{"mode", "session: {mode: fast}", `session.mode: "fast" is wrong; want one of auto, channels, stream, responder`},
		{"no CLI", "session: {claude: ' '}", `session.claude: " " is wrong; want a text that is not empty`},
		{"time of day", "session: {restart_at: '25:00'}", `session.restart_at: "25:00" has no time of day in "25:00"; want a time such as`},
		{"time zone", "session: {restart_at: '04:00 Mars/Base'}", `names the unknown time zone "Mars/Base"`},
		{"hours without end", "oncall: {quiet_hours: '22:00'}", `oncall.quiet_hours: "22:00" has no end; want hours such as`},
		{"hours of nothing", "oncall: {quiet_hours: '22:00-22:00'}", "starts and ends at the same time"},
		{"nags that never come again", "oncall: {nags: {every: never}}", `oncall.nags.every: "never" is no length of time; want hours and minutes such as`},
		{"nag after seconds", "oncall: {nags: {prod: 30s}}", `oncall.nags.prod: "30s" is no length of time; want hours and minutes such as "10m" or "1h30m", at least a minute, or "never"`},
		{"project", "gitlab: {projects: {backend: backend}}", `gitlab.projects.backend: "backend" is wrong; want a project path`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load of %q = %v\nwant …%s…", tt.text, err, tt.want)
			}
		})
	}
}

func TestLoadReportsAllMistakesInTheOrderOfTheFile(t *testing.T) {
	_, err := load(t, `listen: localhost
clusters:
  a: {env: qa, aliases: [b]}
  b: {}
sesion: {}
session:
  mode: fast
  restart_at: noon
`, map[string]string{"SLACK_BOT_TOKEN": "a", "SLACK_BOT_TOKEN_FILE": "b"})
	if err == nil {
		t.Fatal("Load = nil, want mistakes")
	}
	var starts []string
	for line := range strings.Lines(err.Error()) {
		at := strings.Index(line, "w.yaml")
		words := strings.Fields(line[max(at, 0):])
		starts = append(starts, strings.Join(words[:2], " "))
	}
	want := []string{
		"SLACK_BOT_TOKEN and", "w.yaml:1: listen:", "w.yaml:3: clusters.a.env:", "w.yaml:3: clusters.a.aliases[0]:",
		"w.yaml:5: sesion:", "w.yaml:7: session.mode:", "w.yaml:8: session.restart_at:",
	}
	if diff := cmp.Diff(want, starts); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s\n%v", diff, err)
	}
}

func TestAnOpenAddressNeedsASecretOnceSomebodyListens(t *testing.T) {
	check := func(text string, env map[string]string) error {
		t.Helper()
		c, err := load(t, text, env)
		if err != nil {
			t.Fatal(err)
		}
		return c.CheckListen()
	}
	if err := check("listen: 0.0.0.0:8788", nil); err == nil || !strings.Contains(err.Error(), `"0.0.0.0:8788" can be reached from other machines`) {
		t.Errorf("CheckListen of an open address = %v, want an error", err)
	}
	for _, name := range []string{"WATCHKEEPER_WEBHOOK_TOKEN", "WATCHKEEPER_WEBHOOK_HMAC_SECRET"} {
		if err := check("listen: ':8788'", map[string]string{name: "s"}); err != nil {
			t.Errorf("CheckListen with %s: %v", name, err)
		}
	}
	for _, address := range []string{"localhost:0", "127.9.9.9:1", "'[::1]:1'"} {
		if err := check("listen: "+address, nil); err != nil {
			t.Errorf("CheckListen of a loopback address: %v", err)
		}
	}
}

// FuzzLoad looks for panics, and for mistakes that name no place.
func FuzzLoad(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("a: &a [*a]\n---\n")
	f.Add("? {a: b}\n: !!binary x\n")
	f.Add("clusters: {a: , b: {aliases: [a, ~]}}\n")
	f.Add("session: {restart_at: !!str 4}\n")
	f.Add("policy: {writes: {per_hour: 0x7fffffffffffffff}}\n")
	path := filepath.Join(f.TempDir(), "w.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path, nil)
		if err != nil && !strings.Contains(err.Error(), "w.yaml") {
			t.Errorf("Load of %q = %v, want the file named", text, err)
		}
	})
}
