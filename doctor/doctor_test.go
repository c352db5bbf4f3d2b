package doctor_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // makes a memory newer than ours

	"watchkeeper/doctor"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/secret"
	"watchkeeper/test/fakes/signoz"
)

// check looks for the finding called what: its level, and a part of its detail.
func check(t *testing.T, found []doctor.Finding, what string, level doctor.Level, detail string) {
	t.Helper()
	for _, f := range found {
		if f.What != what {
			continue
		}
		if f.Level != level || !strings.Contains(f.Detail, detail) {
			t.Errorf("%s = %s, %q; want %s, %q", what, f.Level, f.Detail, level, detail)
		}
		if (f.Level == doctor.OK) != (f.Fix == "") {
			t.Errorf("%s is %s with the fix %q; want a fix for what is not well, and none else", what, f.Level, f.Fix)
		}
		return
	}
	t.Errorf("no finding %q among %+v", what, found)
}

// script writes a program that does what text says.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgramsAndLogin(t *testing.T) {
	const loggedIn = `{"loggedIn": true, "authMethod": "oauth_token", "apiProvider": "firstParty"}`
	cli := func(version, status string, code int) string {
		return fmt.Sprintf(`case "$1" in
			--version) echo %q;;
			auth) echo '%s'; exit %d;;
		esac`, version, status, code)
	}
	tests := []struct {
		name, cli, mode string
		what            string
		level           doctor.Level
		detail          string
	}{
		{"the tested version is well", cli("2.1.330 (Claude Code)", loggedIn, 0), "stream", "claude", doctor.OK, "is 2.1.330"},
		{"a newer one too", cli("2.10.0 (Claude Code)", loggedIn, 0), "stream", "claude", doctor.OK, "is 2.10.0"},
		{"an older one is not", cli("2.1.99 (Claude Code)", loggedIn, 0), "stream", "claude", doctor.Wrong, "is 2.1.99"},
		{"another program is not", cli("hello", loggedIn, 0), "stream", "claude", doctor.Wrong, "does not say a version"},
		{"one that fails says why", "echo no such library >&2; exit 127", "stream", "claude", doctor.Wrong, "no such library"},
		{"a login is well", cli("2.1.330", loggedIn, 0), "stream", "login", doctor.OK, "oauth_token"},
		{"none is not", cli("2.1.330", `{"loggedIn": false, "authMethod": "none"}`, 1), "auto", "login", doctor.Wrong, "nobody is logged in"},
		{"a CLI that does not know is advice", cli("2.1.330", "unknown command", 1), "auto", "login", doctor.Advice, "does not say"},
		{"another provider has no channels", cli("2.1.330", `{"loggedIn": true, "authMethod": "third_party", "apiProvider": "bedrock"}`, 0), "channels", "login", doctor.Wrong, "bedrock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			p := doctor.Programs{Claude: script(t, dir, "claude", tt.cli), Mode: tt.mode, Env: []string{"PATH=" + os.Getenv("PATH")}}
			check(t, p.Examine(t.Context()), tt.what, tt.level, tt.detail)
		})
	}
}

func TestProgramsOfOneRelease(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "one", "echo one version 1.2.3")
	script(t, dir, "two", "echo two version 1.2.2")
	p := doctor.Programs{Claude: "no-such-cli", Mode: "stream", Folder: dir, Servers: []string{"one", "two", "three"}, Version: "1.2.3"}
	found := p.Examine(t.Context())
	check(t, found, "two", doctor.Wrong, `"two version 1.2.2", and watchkeeper is 1.2.3`)
	check(t, found, "three", doctor.Wrong, "no such file")
	check(t, found, "claude", doctor.Wrong, "no-such-cli is not there")
	p.Servers = p.Servers[:1]
	check(t, p.Examine(t.Context()), "servers", doctor.OK, "one, version 1.2.3")
	p.Mode = "responder"
	if found := p.Examine(t.Context()); len(found) != 1 || found[0].Level != doctor.OK {
		t.Errorf("in mode responder: %+v; want that no program is needed", found)
	}
}

func TestMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "var")
	look := func() []doctor.Finding { return doctor.Machine{State: dir}.Examine(t.Context()) }
	check(t, look(), "state directory", doctor.OK, "not there yet")
	for mode, want := range map[os.FileMode]doctor.Level{0o700: doctor.OK, 0o755: doctor.Wrong, 0o770: doctor.Wrong, 0o500: doctor.Wrong} {
		os.RemoveAll(dir)
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		check(t, look(), "state directory", want, dir)
	}
	os.RemoveAll(dir)
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, look(), "state directory", doctor.Wrong, "is no folder")
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	good, open := filepath.Join(dir, "good"), filepath.Join(dir, "open")
	for path, mode := range map[string]os.FileMode{good: 0o640, open: 0o644} {
		if err := os.WriteFile(path, []byte("token"), mode); err != nil {
			t.Fatal(err)
		}
	}
	check(t, doctor.Secrets{"A_FILE": good}.Examine(t.Context()), "secrets", doctor.OK, "1 files")
	found := doctor.Secrets{"A_FILE": good, "B_FILE": open, "C_FILE": filepath.Join(dir, "none")}.Examine(t.Context())
	check(t, found, "B_FILE", doctor.Wrong, "0644")
	check(t, found, "C_FILE", doctor.Wrong, "cannot be looked at")
	if found := (doctor.Secrets{}).Examine(t.Context()); len(found) > 0 {
		t.Errorf("without secrets: %+v, want nothing", found)
	}
}

func TestMachineOfAnotherUser(t *testing.T) {
	dir, owner := "/", "root"
	if os.Getuid() == 0 { // root makes one for somebody else
		dir, owner = t.TempDir(), "nobody"
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	check(t, doctor.Machine{State: dir}.Examine(t.Context()), "state directory", doctor.Wrong, "belongs to "+owner)
}

func TestMemory(t *testing.T) {
	dir := t.TempDir()
	m := &doctor.Memory{Path: filepath.Join(dir, "memory.db"), Backups: filepath.Join(dir, "backups")}
	check(t, m.Examine(t.Context()), "integrity", doctor.OK, "none yet")

	s, err := sqlite.Open(t.Context(), m.Path)
	if err != nil {
		t.Fatal(err)
	}
	found := m.Examine(t.Context())
	check(t, found, "integrity", doctor.OK, "0 incidents")
	check(t, found, "schema", doctor.OK, "version")
	if !m.Ready {
		t.Error("a healthy memory is not ready")
	}
	check(t, found, "backup", doctor.Advice, "there is none")

	os.Mkdir(m.Backups, 0o700)
	path := filepath.Join(m.Backups, "watchkeeper-20260101T000000.000Z.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	s.Close()
	check(t, m.Examine(t.Context()), "backup", doctor.OK, "1, the newest")
	if err := os.Chtimes(path, time.Now(), time.Now().Add(-72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	check(t, m.Examine(t.Context()), "backup", doctor.Advice, "days old")

	db, err := sql.Open("sqlite3", m.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	check(t, m.Examine(t.Context()), "schema", doctor.Wrong, "version 999")
	if m.Ready {
		t.Error("a memory of a newer program is ready")
	}
	if err := os.WriteFile(m.Path, []byte(strings.Repeat("rubbish ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, m.Examine(t.Context()), "integrity", doctor.Wrong, "not a database")
}

func TestClock(t *testing.T) {
	for ahead, want := range map[time.Duration]doctor.Level{0: doctor.OK, -20 * time.Second: doctor.Advice, 2 * time.Minute: doctor.Wrong} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
		}))
		check(t, doctor.Clock{URLs: []string{"http://127.0.0.1:1", srv.URL}}.Examine(t.Context()), "clock", want, "off that of "+srv.URL)
		srv.Close()
	}
	check(t, doctor.Clock{URLs: []string{"http://127.0.0.1:1"}}.Examine(t.Context()), "clock", doctor.Advice, "no service")
}

func TestSigNoz(t *testing.T) {
	fake := &signoz.Server{}
	srv := httptest.NewServer(fake)
	defer srv.Close()
	look := func(url, key string) []doctor.Finding {
		return doctor.SigNoz{URL: url, Key: secret.New(key)}.Examine(t.Context())
	}
	check(t, look("", ""), "url", doctor.OK, "none is configured")
	check(t, look(srv.URL, ""), "key", doctor.Wrong, "not set")
	check(t, look(srv.URL, "other"), "key", doctor.Wrong, "401")
	check(t, look(srv.URL, signoz.Key), "key", doctor.OK, "alert rules")
	fake.Old = true
	check(t, look(srv.URL, signoz.Key), "key", doctor.OK, "alert rules")
	check(t, look(srv.URL+"/elsewhere", signoz.Key), "url", doctor.Wrong, "web page")
	check(t, look("http://127.0.0.1:1", signoz.Key), "url", doctor.Wrong, "connection refused")
}

// gitlab plays the two questions of the doctor.
func gitlab(t *testing.T, self map[string]any) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("PRIVATE-TOKEN") != "good":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v4/personal_access_tokens/self" && self != nil:
			json.NewEncoder(w).Encode(self)
		case r.URL.EscapedPath() == "/api/v4/projects/group%2Fbackend":
			fmt.Fprint(w, `{"id": 1}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message": "404 Not Found"}`)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestGitLab(t *testing.T) {
	soon := time.Now().Add(72 * time.Hour).Format(time.DateOnly)
	tests := []struct {
		name, token string
		self        map[string]any
		what        string
		level       doctor.Level
		detail      string
	}{
		{"a token that only reads is well", "good", map[string]any{"scopes": []string{"read_api"}}, "token", doctor.OK, "cannot write"},
		{"one that writes is not", "good", map[string]any{"scopes": []string{"read_api", "api", "write_repository"}}, "token", doctor.Wrong, "api, write_repository"},
		{"one that does not read is not", "good", map[string]any{"scopes": []string{"read_user"}}, "token", doctor.Wrong, "lacks read_api"},
		{"one that expires soon is advice", "good", map[string]any{"scopes": []string{"read_api"}, "expires_at": soon}, "token", doctor.Advice, soon},
		{"a wrong one is not", "bad", nil, "token", doctor.Wrong, "does not take it"},
		{"an old GitLab is advice", "good", nil, "token", doctor.Advice, "does not tell"},
		{"a project that can be read is well", "good", map[string]any{"scopes": []string{"read_api"}}, "project group/backend", doctor.OK, "can be read"},
		{"one that cannot is not", "good", map[string]any{"scopes": []string{"read_api"}}, "project group/other", doctor.Wrong, "not for this token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := doctor.GitLab{
				URL: gitlab(t, tt.self).URL, Token: secret.New(tt.token),
				Projects: map[string]string{"a": "group/backend", "b": "group/backend", "c": "group/other"},
			}
			check(t, g.Examine(t.Context()), tt.what, tt.level, tt.detail)
		})
	}
}

func TestRunKeepsTheOrderAndEndsWhatHangs(t *testing.T) {
	one := func(what string, wait bool) func(context.Context) []doctor.Finding {
		return func(ctx context.Context) []doctor.Finding {
			if wait {
				<-ctx.Done()
			}
			return []doctor.Finding{{What: what}}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	found := doctor.Run(ctx, one("a", true), one("b", false))
	if len(found) != 2 || found[0].What != "a" || found[1].What != "b" {
		t.Errorf("Run = %+v, want a and b", found)
	}
}

// unused returns an address on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
