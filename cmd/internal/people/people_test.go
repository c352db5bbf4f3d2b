package people_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels/slack"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/config"
	"watchkeeper/runbook"
)

func TestCallingFollowsTheConfiguration(t *testing.T) {
	const never = -1
	tests := []struct {
		name, text string
		want       slack.Calling
	}{
		{"nothing is configured", "", slack.Calling{
			First: map[runbook.Env]time.Duration{runbook.Prod: 10 * time.Minute, runbook.EnvUnknown: 10 * time.Minute, runbook.Dev: never},
			Every: 10 * time.Minute, SecondAfter: 6, Reping: 2 * time.Hour,
		}},
		{"all of it is", "oncall: {slack_user: U0ANN, second: U0BEN, second_after_nags: 2, nags: {prod: 4m, dev: 1h, every: 5m, reping: never}}", slack.Calling{
			People: slack.People{OnCall: "U0ANN", Second: "U0BEN"},
			First:  map[runbook.Env]time.Duration{runbook.Prod: 4 * time.Minute, runbook.EnvUnknown: 4 * time.Minute, runbook.Dev: time.Hour},
			Every:  5 * time.Minute, SecondAfter: 2, Reping: never,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "watchkeeper.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Load(path, func(string) (string, bool) { return "", false })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, people.Calling(&house.House{Config: cfg})); diff != "" {
				t.Errorf("Calling (-want +got):\n%s", diff)
			}
		})
	}
}
