package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"watchkeeper/config"
)

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadTakesSecretsFromVariablesAndFiles(t *testing.T) {
	c, err := load(t, "", map[string]string{
		"WATCHKEEPER_WEBHOOK_TOKEN":            "w",
		"WATCHKEEPER_WEBHOOK_HMAC_SECRET_FILE": secretFile(t, "\n  h \r\n"),
		"SLACK_BOT_TOKEN":                      " xoxb-1\n",
		"SLACK_APP_TOKEN":                      "",
		"SLACK_APP_TOKEN_FILE":                 secretFile(t, "xapp-1"),
		"SIGNOZ_API_KEY":                       "s",
		"GITLAB_TOKEN_FILE":                    "",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Secrets
	got := []string{s.WebhookToken.Reveal(), s.WebhookHMAC.Reveal(), s.SlackBot.Reveal(), s.SlackApp.Reveal(), s.SigNoz.Reveal(), s.GitLab.Reveal()}
	if want := "w h xoxb-1 xapp-1 s "; strings.Join(got, " ") != want || s.GitLab.Set() {
		t.Errorf("secrets = %q, want %q", got, want)
	}
}

func TestLoadNamesTheVariableAndNeverItsContent(t *testing.T) {
	const token = "xoxb-very-secret"
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"both", map[string]string{"SLACK_BOT_TOKEN": token, "SLACK_BOT_TOKEN_FILE": token}, "SLACK_BOT_TOKEN and SLACK_BOT_TOKEN_FILE are both set"},
		{"a token where a path belongs", map[string]string{"SLACK_BOT_TOKEN_FILE": token}, "SLACK_BOT_TOKEN_FILE: the file it names cannot be read: no such file"},
		{"a directory", map[string]string{"GITLAB_TOKEN_FILE": t.TempDir()}, "GITLAB_TOKEN_FILE: the file it names cannot be read: is a directory"},
		{"an empty file", map[string]string{"GITLAB_TOKEN_FILE": secretFile(t, " \n")}, "GITLAB_TOKEN_FILE: the file it names is empty"},
		{"two lines in a file", map[string]string{"GITLAB_TOKEN_FILE": secretFile(t, token+"\n"+token)}, "GITLAB_TOKEN_FILE: has a line break"},
		{"two lines", map[string]string{"GITLAB_TOKEN": token + "\n" + token}, "GITLAB_TOKEN: has a line break"},
		{"a huge file", map[string]string{"GITLAB_TOKEN_FILE": secretFile(t, strings.Repeat("x", 1<<17))}, "larger than 65536 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, "", tt.env)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), token) {
				t.Errorf("Load = %v\nwant …%s… without the token", err, tt.want)
			}
		})
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	const token = "xoxb-very-secret"
	env := map[string]string{}
	for _, name := range []string{
		"WATCHKEEPER_WEBHOOK_TOKEN", "WATCHKEEPER_WEBHOOK_HMAC_SECRET", "SLACK_BOT_TOKEN",
		"SLACK_APP_TOKEN", "SIGNOZ_API_KEY", "GITLAB_TOKEN",
	} {
		env[name] = token + name
	}
	c, err := load(t, "signoz: {url: 'http://s'}", env)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("text", "config", c, "secrets", &c.Secrets)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("json", "config", c, "secrets", &c.Secrets)
	for how, text := range map[string]string{
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", c), "%#v": fmt.Sprintf("%#v", c), "%s": fmt.Sprintf("%s", c.Secrets),
		"pointer": fmt.Sprintf("%+v %#v", &c, &c), "unexported": fmt.Sprintf("%+v %#v", struct{ c config.Config }{c}, struct{ c config.Config }{c}),
		"error": fmt.Errorf("start: %v", c).Error(), "JSON": string(asJSON), "YAML": string(asYAML), "slog": logged.String(),
	} {
		if strings.Contains(text, token) {
			t.Errorf("%s shows a secret: %s", how, text)
		}
	}
}
