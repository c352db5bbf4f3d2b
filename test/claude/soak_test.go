package claude_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"watchkeeper/test/messages"
)

// The soak: a day's trouble in less than four minutes.
const (
	soakFor    = 150 * time.Second // alerts come so long
	soakPace   = 700 * time.Millisecond
	soakSettle = 120 * time.Second // after the last one everything must be decided
	dismissed  = 300               // tokens that a dismissed alert may cost the session
	looked     = 900               // and an investigated one
)

// TestSoak sends alerts all the while as everything goes wrong once that can:
// the model is overloaded, rate limited and logged out; the CLI and each server
// are killed; the memory is locked; the day ends and the session is restarted.
// Every alert ends with one verdict or one page.
func TestSoak(t *testing.T) {
	script, api := model(t, soakModel()...)
	h := newHouse(t, api, "policy: {known_noise: [{alert: \"Tenant*\", reason: test tenants have no heartbeat}]}\n")
	s := &soak{house: h, script: script}
	began := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); s.trouble(began) }()
	for time.Since(began) < soakFor {
		s.alert()
		time.Sleep(soakPace) // the pace is what is tested
	}
	<-done
	s.settle()
	s.checkVerdicts()
	s.checkPushes()
	s.checkContext()
	if t.Failed() {
		t.Logf("the log ends with\n%s", tailOf(h.log.String(), 20_000))
	}
}

func tailOf(s string, n int) string { return s[max(0, len(s)-n):] }

// TestAnAlertCostsTheSessionLittle measures what an alert leaves in the context
// of the session. Of one that is escalated the CLI's own words about a sub-agent
// are told apart: they take half, and we cannot make them fewer.
func TestAnAlertCostsTheSessionLittle(t *testing.T) {
	script, api := model(t, soakModel()...)
	s := &soak{script: script, house: newHouse(t, api, "policy: {known_noise: [{alert: \"Tenant*\", reason: test tenants have no heartbeat}]}\n")}
	cost := func(alerts ...int) (all, cli int) {
		before := s.calm()
		for _, n := range alerts {
			s.sent = n - 1
			s.alert()
		}
		after := s.calm()
		return (after.Tokens() - before.Tokens()) / len(alerts), (cliWords(after) - cliWords(before)) / 4 / len(alerts)
	}
	s.alert() // the session begins
	all, _ := cost(5, 6, 7)
	t.Logf("a dismissed alert costs %d tokens", all)
	if all > dismissed {
		t.Errorf("a dismissed alert costs %d tokens, want at most %d", all, dismissed)
	}
	all, cli := cost(12, 20, 28)
	t.Logf("an investigated alert costs %d tokens, of which %d are the CLI's own words", all, cli)
	if all > looked {
		t.Errorf("an investigated alert costs %d tokens, want at most %d", all, looked)
	}
	all, cli = cost(16, 24, 32)
	t.Logf("one that is escalated too costs %d tokens, of which %d are the CLI's own words", all, cli)
	if all-cli > looked {
		t.Errorf("an escalated alert costs %d tokens besides the CLI's own words, want at most %d", all-cli, looked)
	}
}

// calm waits until everything is decided and the dispatcher has read that, and
// returns its last request.
func (s *soak) calm() messages.Request {
	s.t.Helper()
	var last messages.Request
	s.poll("calm", func() bool {
		if s.count(undecided) > 0 {
			return false
		}
		for _, r := range s.script.Requests() {
			if r.Rule == "dispatcher" {
				last = r
			}
		}
		return len(pushedIn(last)) > 0 && soakDispatcher(last) == nil
	})
	return last
}

// A soak is a house under trouble.
type soak struct {
	*house
	script *messages.Script
	sent   int
}

// alert sends one alert: three of four are known noise. Each has a name of its
// own, since the same ones would be gathered.
func (s *soak) alert() {
	s.sent++
	name := fmt.Sprintf("Tenant%03d", s.sent)
	switch s.sent % 8 {
	case 0:
		name = fmt.Sprintf("Crash%03d", s.sent)
	case 4:
		name = fmt.Sprintf("Slow%03d", s.sent)
	}
	body := fingerprint.ReplaceAllString(strings.ReplaceAll(payload(s.t), crashLoop, name), fmt.Sprintf(`"fingerprint":"%016x"`, s.sent))
	for { // a sender tries again
		resp, err := http.Post("http://"+s.listen+"/webhook/alertmanager", "application/json", strings.NewReader(body))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// trouble makes one thing after another go wrong.
func (s *soak) trouble(began time.Time) {
	fail := func(status int, kind string, times int, header map[string]string) func() {
		return func() {
			s.set(append([]messages.Rule{{
				Name: kind, Times: times, Fail: &messages.Failure{Status: status, Type: kind, Header: header},
			}}, soakModel()...)...)
		}
	}
	for i, act := range []struct {
		name string
		do   func()
	}{
		{"the API is overloaded", fail(529, "overloaded_error", 4, nil)},
		{"the API limits the rate", fail(429, "rate_limit_error", 4, map[string]string{"Retry-After": "1"})},
		{"sre-tools is killed", func() { s.kill("sre-tools") }},
		{"webhook-channel is killed", func() { s.kill("webhook-channel") }},
		{"slack-channel is killed", func() { s.kill("slack-channel") }},
		{"the CLI is killed", func() { s.killCLI() }},
		{"the memory is locked", func() { s.lock(10 * time.Second) }},
		{"the day ends", func() { s.run("restart") }},
		{"the login is refused", func() {
			fail(401, "authentication_error", 0, nil)()
			time.Sleep(12 * time.Second)
			s.set(soakModel()...)
			s.run("restart") // whoever logs in again does not wait for the next try
		}},
	} {
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * 13 * time.Second)))
		s.t.Logf("%3.0f s, alert %d: %s", time.Since(began).Seconds(), s.sent, act.name)
		act.do()
	}
}

func (s *soak) set(rules ...messages.Rule) {
	if err := s.script.Set(rules...); err != nil {
		s.t.Error(err)
	}
}

// fingerprint is a part of an alert's identity.
var fingerprint = regexp.MustCompile(`"fingerprint": *"[^"]*"`)

// kill kills every process of a server of ours.
func (s *soak) kill(program string) {
	killed := 0
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Error(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(line), program+"\x00") || !strings.Contains(string(line), s.state) {
			continue // it has ended, or is another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	if killed == 0 {
		s.t.Errorf("no %s runs that could be killed", program)
	}
}

func (s *soak) killCLI() {
	for _, pid := range s.sessions() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			s.t.Error(err)
		}
	}
}

// lock keeps everybody from writing.
func (s *soak) lock(d time.Duration) {
	db := s.database()
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		s.t.Error(err)
		return
	}
	time.Sleep(d)
	if _, err := conn.ExecContext(ctx, `ROLLBACK`); err != nil {
		s.t.Error(err)
	}
}

func (s *soak) database() *sql.DB {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(s.state, "watchkeeper.db")+"?_busy_timeout=20000")
	if err != nil {
		s.t.Fatal(err)
	}
	return db
}

// count returns the answer to a question of one number.
func (s *soak) count(query string) (n int) {
	s.t.Helper()
	db := s.database()
	defer db.Close()
	if err := db.QueryRowContext(s.t.Context(), query).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

const undecided = `SELECT count(*) FROM occurrences WHERE verdict = ''`

func (s *soak) settle() {
	for end := time.Now().Add(soakSettle); s.count(undecided) > 0 && time.Now().Before(end); {
		time.Sleep(500 * time.Millisecond)
	}
}

// checkVerdicts holds every alert against what became of it.
func (s *soak) checkVerdicts() {
	if n := s.count(`SELECT count(*) FROM occurrences`); n != s.sent {
		s.t.Errorf("%d alerts are in the memory, want the %d that got a 200", n, s.sent)
	}
	pages := s.count(`SELECT count(*) FROM escalations WHERE opened_by = 'watchdog' AND delivery_id > 0`)
	if n := s.count(undecided + ` AND delivery_id NOT IN (SELECT delivery_id FROM escalations WHERE opened_by = 'watchdog')`); n > 0 {
		s.t.Errorf("%d alerts have neither a verdict nor a page\n%s", n, s.run("status"))
	}
	if n := s.count(`SELECT count(*) FROM (SELECT delivery_id FROM incidents GROUP BY 1 HAVING count(*) > 1)`); n > 0 {
		s.t.Errorf("%d deliveries have several verdicts", n)
	}
	if n := s.count(`SELECT count(*) FROM (SELECT delivery_id FROM escalations WHERE delivery_id > 0 GROUP BY 1 HAVING count(*) > 1)`); n > 0 {
		s.t.Errorf("%d deliveries called a person twice", n)
	}
	wrong := s.count(`SELECT count(*) FROM occurrences WHERE alert LIKE 'Crash%' AND verdict = 'noise'`)
	if wrong > 0 {
		s.t.Errorf("%d crashes were called noise", wrong)
	}
	s.t.Logf("%d alerts, %d deliveries decided, %d escalations, %d pages of the watchdog", s.sent,
		s.count(`SELECT count(*) FROM incidents`), s.count(`SELECT count(*) FROM escalations`), pages)
}

// A conversation is the first and the last request of one session.
type conversation struct{ first, last messages.Request }

func (s *soak) conversations() []conversation {
	var all []conversation
	size := 0
	for _, r := range s.script.Requests() {
		if r.Rule != "dispatcher" {
			continue
		}
		if n := r.Tokens(); n < size || len(all) == 0 {
			all = append(all, conversation{first: r})
		}
		all[len(all)-1].last = r
		size = r.Tokens()
	}
	return all
}

// checkPushes wants no event twice in one session.
func (s *soak) checkPushes() {
	for i, c := range s.conversations() {
		pushed := map[string]int{}
		for _, e := range pushedIn(c.last) {
			pushed[e["delivery"]]++
		}
		for id, n := range pushed {
			if n > 1 {
				s.t.Errorf("session %d was told of %s %d times, want once", i+1, id, n)
			}
		}
	}
}

// checkContext holds what the alerts cost the session against the bounds.
func (s *soak) checkContext() {
	for i, c := range s.conversations() {
		cheap, dear := 0, 0
		for _, e := range pushedIn(c.last)[len(pushedIn(c.first)):] {
			if e["suggest"] == "dismiss" || e["event"] == "resolved" {
				cheap++
			} else {
				dear++
			}
		}
		grown, bound := c.last.Tokens()-c.first.Tokens(), cheap*dismissed+dear*looked
		s.t.Logf("session %d: %d dismissed and %d investigated events cost %d tokens, at most %d are allowed", i+1, cheap, dear, grown, bound)
		if grown > bound {
			s.t.Errorf("session %d grew by %d tokens, want at most %d", i+1, grown, bound)
		}
	}
}

// cliWords counts what the CLI says when a sub-agent begins and ends.
func cliWords(r messages.Request) (n int) {
	for _, u := range r.Uses() {
		if u.Tool == "Agent" && u.Result != nil {
			n += len(u.Result.Text)
		}
	}
	for _, text := range r.Heard() {
		for _, note := range noticeOf.FindAllString(text, -1) {
			n += len(note) - len(resultOf.FindString(note))
		}
	}
	return n
}

var (
	noticeOf = regexp.MustCompile(`(?s)(\[SYSTEM NOTIFICATION[^<]*)?<task-notification>.*?</task-notification>`)
	resultOf = regexp.MustCompile(`(?s)<result>.*</result>`)
)
