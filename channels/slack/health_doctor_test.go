package slack_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"watchkeeper/channels/slack"
	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/secret"
)

func examine(s *fakeslack.Server) slack.Examination {
	return slack.Examination{
		URL: s.URL(), Bot: secret.New(s.BotToken()), App: secret.New(s.AppToken()),
		People: slack.People{OnCall: ann, Second: ben}, Alone: true, TestCard: true,
	}
}

func TestDoctorIsContentWithAWorkingApp(t *testing.T) {
	s := newWorkspace(t, fakeslack.Options{})
	findings := slack.Doctor(t.Context(), examine(s))
	var names []string
	for _, f := range findings {
		names = append(names, f.What)
		if !f.OK || f.Fix != "" {
			t.Errorf("%+v, want it fine", f)
		}
	}
	want := []string{
		"bot token", "scopes", "person on call " + ann, "notifications of " + ann, "test card",
		"person on call " + ben, "notifications of " + ben, "dead-man's switch", "Socket Mode",
	}
	if !slices.Equal(names, want) {
		t.Errorf("findings = %q, want %q", names, want)
	}
	if seen := s.Seen(s.DM(ann)); len(seen) != 1 || !strings.Contains(seen[0].Blocks, slack.TestActionID) {
		t.Errorf("Ann sees %+v, want the test card", seen)
	}
	if left := s.Scheduled(s.DM(ann)); len(left) != 0 {
		t.Errorf("scheduled messages are left: %v", left)
	}
}

func TestDoctorSaysWhatIsWrong(t *testing.T) {
	with := func(change func(*slack.Examination)) func(*fakeslack.Server) slack.Examination {
		return func(s *fakeslack.Server) slack.Examination { x := examine(s); change(&x); return x }
	}
	tests := []struct {
		name    string
		options fakeslack.Options
		examine func(*fakeslack.Server) slack.Examination
		what    string
		want    string // in the detail or the fix
	}{
		{"no bot token", fakeslack.Options{}, with(func(x *slack.Examination) { x.Bot = secret.Value{} }), "bot token", "set SLACK_BOT_TOKEN"},
		{"no app token", fakeslack.Options{}, with(func(x *slack.Examination) { x.App = secret.Value{} }), "app token", "set SLACK_APP_TOKEN"},
		{"tokens exchanged", fakeslack.Options{}, with(func(x *slack.Examination) { x.Bot, x.App = x.App, x.Bot }), "bot token", "exchange"},
		{"wrong bot token", fakeslack.Options{}, with(func(x *slack.Examination) { x.Bot = secret.New("xoxb-other-secret") }), "bot token", "invalid_auth"},
		{"wrong app token", fakeslack.Options{}, with(func(x *slack.Examination) { x.App = secret.New("xapp-other-secret") }), "Socket Mode", "invalid_auth"},
		{"a scope is missing", fakeslack.Options{Scopes: slices.DeleteFunc(slack.RequiredScopes(), func(s string) bool { return s == "im:history" })}, examine, "scopes", "im:history"},
		{"nobody is on call", fakeslack.Options{}, with(func(x *slack.Examination) { x.People = slack.People{} }), "person on call", "oncall.slack_user"},
		{"an unknown person", fakeslack.Options{}, with(func(x *slack.Examination) { x.People.Second = "U0NOBODY" }), "person on call U0NOBODY", "user_not_found"},
		{"a bot on call", fakeslack.Options{}, with(func(x *slack.Examination) { x.People.OnCall = fakeslack.BotUser }), "person on call " + fakeslack.BotUser, "it is a bot"},
		{"notifications are off", fakeslack.Options{}, func(s *fakeslack.Server) slack.Examination {
			s.AddUser(fakeslack.User{ID: ann, DND: true})
			return examine(s)
		}, "notifications of " + ann, "holds them back"},
		{"another process is connected", fakeslack.Options{}, func(s *fakeslack.Server) slack.Examination {
			s.ClaimConnections(3)
			return examine(s)
		}, "Socket Mode", "2 connections"},
		{"no Slack there", fakeslack.Options{}, with(func(x *slack.Examination) { x.URL = "http://127.0.0.1:1/api/" }), "bot token", "network"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := slack.Doctor(t.Context(), tt.examine(newWorkspace(t, tt.options)))
			i := slices.IndexFunc(findings, func(f slack.Finding) bool { return f.What == tt.what })
			if i < 0 || findings[i].OK || findings[i].Fix == "" || !strings.Contains(findings[i].Detail+" "+findings[i].Fix, tt.want) {
				t.Errorf("findings = %+v, want %s with %q", findings, tt.what, tt.want)
			}
			for _, f := range findings {
				if strings.Contains(f.Detail+f.Fix, "-secret") {
					t.Errorf("finding holds a token: %+v", f)
				}
			}
		})
	}
}

func TestDoctorLeavesTheConnectionToTheRunningLink(t *testing.T) {
	f := openOffice(t, quick())
	x := examine(f.Server)
	x.Alone = false
	for _, found := range slack.Doctor(t.Context(), x) {
		if !found.OK {
			t.Errorf("%+v, want it fine", found)
		}
	}
	if n := f.Connections(); n != 1 {
		t.Errorf("%d connections, want the link's alone", n)
	}
	card := f.Seen(f.DM(ann))[0].TS
	if err := f.Press(ann, f.DM(ann), card, slack.TestActionID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer", func() bool { return strings.Contains(strings.Join(f.notices(t), ""), "hears you") })
	if n, _, _ := f.desk.seen(); n != 0 {
		t.Errorf("the test button reached the actions")
	}
}

func TestManifestAsksForWhatIsNeeded(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/slack/manifest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Features struct {
			AppHome struct {
				Messages bool  `yaml:"messages_tab_enabled"`
				ReadOnly *bool `yaml:"messages_tab_read_only_enabled"`
			} `yaml:"app_home"`
		}
		OAuth    struct{ Scopes struct{ Bot []string } } `yaml:"oauth_config"`
		Settings struct {
			Events struct {
				Bot []string `yaml:"bot_events"`
			} `yaml:"event_subscriptions"`
			Interactivity struct {
				Enabled bool `yaml:"is_enabled"`
			}
			SocketMode bool `yaml:"socket_mode_enabled"`
		}
	}
	if err := yaml.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	slices.Sort(m.OAuth.Scopes.Bot)
	if !slices.Equal(m.OAuth.Scopes.Bot, slack.RequiredScopes()) {
		t.Errorf("scopes = %q, want %q", m.OAuth.Scopes.Bot, slack.RequiredScopes())
	}
	home := m.Features.AppHome
	if !home.Messages || home.ReadOnly == nil || *home.ReadOnly {
		t.Error("people cannot write to the app: app_home must have a messages tab that is not read-only")
	}
	if s := m.Settings; !slices.Equal(s.Events.Bot, []string{"message.im"}) || !s.Interactivity.Enabled || !s.SocketMode {
		t.Errorf("settings = %+v, want message.im, interactivity and Socket Mode", s)
	}
}
