package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"watchkeeper": main})
}

// TestScript runs testdata/*.txtar, which read like sessions at a terminal.
// Beside the usual commands there are:
//
//	alert NAME [AGE]   store a decided alert in $WATCHKEEPER_STATE, as old as a Go duration says
//	await PATTERN CMD… run a command until its output matches
//	config FILE        replace $NAME in FILE by the variables of the script
//	post NAME          send an alert to the intake on $LISTEN; waits until it listens
//	session            store a session that begins now
//	slack              start a fake Slack; sets SLACK_URL, SLACK_USER and the two tokens
//
// $LISTEN is an address that nobody uses.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update,
		Setup: func(env *testscript.Env) error { return setUp(t, env) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"alert":   scriptAlert,
			"await":   scriptAwait,
			"config":  scriptConfig,
			"post":    scriptPost,
			"session": scriptSession,
			"slack":   scriptSlack,
		},
	})
}

func setUp(t *testing.T, env *testscript.Env) error {
	t.Helper()
	env.Setenv("LISTEN", unused(t))
	env.Setenv("WATCHKEEPER_STATE", filepath.Join(env.WorkDir, "var"))
	env.Setenv("HOME", env.WorkDir)
	return nil
}

func scriptAlert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: alert NAME [AGE]")
	}
	began := time.Now()
	if len(args) > 1 {
		age, err := time.ParseDuration(args[1])
		ts.Check(err)
		began = began.Add(-age)
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(ts.Getenv("WATCHKEEPER_STATE"), "watchkeeper.db"))
	ts.Check(err)
	defer s.Close()
	a := runbook.Alert{
		Source: "test", Fingerprint: args[0], StartsAt: began, EndsAt: began, Status: runbook.Resolved, Name: args[0],
		Severity: runbook.Warning, Env: runbook.Prod,
	}
	_, err = s.Put(context.Background(), runbook.Batch{Source: "test", ReceivedAt: began, Alerts: []runbook.Alert{a}})
	ts.Check(err)
	open, err := s.Open(context.Background())
	ts.Check(err)
	for _, d := range open {
		ts.Check(s.MarkPushed(context.Background(), d.ID, 1, began))
	}
}

func scriptConfig(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: config FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func scriptPost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: post NAME")
	}
	body := fmt.Sprintf(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":%q},"startsAt":%q}]}`,
		args[0], time.Now().UTC().Format(time.RFC3339Nano))
	var said string
	for range 200 {
		res, err := http.Post("http://"+ts.Getenv("LISTEN")+"/webhook", "application/json", strings.NewReader(body))
		if err == nil {
			var text bytes.Buffer
			_, err = text.ReadFrom(res.Body)
			res.Body.Close()
			ts.Check(err)
			if res.StatusCode == http.StatusOK {
				return
			}
			said = text.String()
		} else {
			said = err.Error()
		}
		time.Sleep(50 * time.Millisecond) // another process starts: there is no fake time for it
	}
	ts.Fatalf("the intake takes nothing: %s", said)
}

func scriptSlack(ts *testscript.TestScript, _ bool, _ []string) {
	s, err := fakeslack.Start(fakeslack.Options{})
	ts.Check(err)
	ts.Defer(func() { s.Close() })
	const user = "U0ANN0000"
	s.AddUser(fakeslack.User{ID: user, Name: "Ann"})
	for name, value := range map[string]string{
		"SLACK_URL": s.URL(), "SLACK_USER": user, "SLACK_BOT_TOKEN": s.BotToken(), "SLACK_APP_TOKEN": s.AppToken(),
	} {
		ts.Setenv(name, value)
	}
}

func scriptSession(ts *testscript.TestScript, _ bool, _ []string) {
	s, err := sqlite.Open(context.Background(), filepath.Join(ts.Getenv("WATCHKEEPER_STATE"), "watchkeeper.db"))
	ts.Check(err)
	defer s.Close()
	_, err = s.StartSession(context.Background(), "stream", os.Getpid())
	ts.Check(err)
}
