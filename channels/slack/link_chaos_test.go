package slack_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/channels/slack"
	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/secret"
)

// The chaos test: how much is said, and how often the process is killed.
const (
	said  = 200 // each way
	kills = 20
)

// Tokens that a search finds wherever they leak.
const (
	chaosBot = "xoxb-9-leakedbottoken"
	chaosApp = "xapp-9-leakedapptoken"
)

// childEnv makes TestChaosChild the process that is killed: the address of the
// fake, and the path of the memory.
const childEnv = "WATCHKEEPER_SLACK_CHAOS"

// TestChaosChild is no test: the chaos test runs it as a process of its own.
func TestChaosChild(t *testing.T) {
	url, path, isChild := strings.Cut(os.Getenv(childEnv), "|")
	if !isChild {
		t.Skip("this is the process that TestChaos kills")
	}
	memory, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client := slack.NewClient(url, secret.New(chaosBot), secret.New(chaosApp))
	people := slack.People{OnCall: ann, Second: ben}
	link := &slack.Link{Memory: memory, Client: client, People: people, Actions: &desk{}, Answers: &desk{}, Log: log, Silence: 400 * time.Millisecond}
	sender := &slack.Sender{Memory: memory, Client: client, People: people, Log: log, Every: time.Millisecond, Settle: 300 * time.Millisecond}
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error { return link.Run(ctx) })
	g.Go(func() error { return sender.Run(ctx) })
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A victim is the process, again and again.
type victim struct {
	url, path string
	log       lines
}

// live runs the process for d, and kills it.
func (v *victim) live(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChaosChild$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), childEnv+"="+v.url+"|"+v.path)
	cmd.Stdout, cmd.Stderr = &v.log, &v.log
	if err := cmd.Run(); ctx.Err() == nil {
		t.Errorf("the process ended by itself: %v\n%s", err, v.log.String())
	}
}

func TestChaos(t *testing.T) {
	f := newWorkspace(t, fakeslack.Options{
		BotToken: chaosBot, AppToken: chaosApp, Burst: -1, AckTimeout: 200 * time.Millisecond, PingEvery: 100 * time.Millisecond,
		RetryDelays: []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond},
	})
	v := &victim{url: f.URL(), path: filepath.Join(t.TempDir(), "memory.db")}
	memory, err := sqlite.Open(t.Context(), v.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	v.live(t, 1500*time.Millisecond) // sets the marks: what was said before the first start is not for us
	threads := []string{"", f.SaySilently(ann, "", "a thread"), f.SaySilently(ann, "", "another thread")}

	var talk sync.WaitGroup
	talk.Go(func() { peopleTalk(f, threads) })
	talk.Go(func() { weTalk(t, memory, f, threads) })
	over := make(chan struct{})
	var trouble sync.WaitGroup
	trouble.Go(func() { mischief(f, over) })
	for range kills {
		v.live(t, 400*time.Millisecond+rand.N(1200*time.Millisecond))
	}
	talk.Wait()
	close(over)
	trouble.Wait()
	f.Heal()

	stop := background(t, func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChaosChild$", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), childEnv+"="+v.url+"|"+v.path)
		cmd.Stdout, cmd.Stderr = &v.log, &v.log
		_ = cmd.Run() // killed when the test has seen enough
		return nil
	})
	waitForPeace(t, f, memory, v)
	stop()
	checkHeard(t, memory)
	checkSeen(t, f)
	checkNoToken(t, v)
}

// peopleTalk says what people say, in and out of threads.
func peopleTalk(f *fakeslack.Server, threads []string) {
	for i := range said {
		user, thread := ann, threads[i%len(threads)]
		if i%7 == 0 {
			user, thread = ben, ""
		}
		f.Reply(user, thread, fmt.Sprintf("heard-%03d", i))
		time.Sleep(rand.N(150 * time.Millisecond))
	}
}

// weTalk owes what we say: short and long, in and out of threads.
func weTalk(t *testing.T, memory *sqlite.Store, f *fakeslack.Server, threads []string) {
	t.Helper()
	for i := range said {
		m := runbook.Message{Key: fmt.Sprint("key-", i), Kind: "message", Text: fmt.Sprintf("said-%03d", i), CreatedAt: time.Now()}
		if thread := threads[i%len(threads)]; thread != "" {
			m.Channel, m.Thread = f.DM(ann), thread
		}
		switch {
		case i%11 == 0:
			m.Channel, m.Thread = ben, ""
		case i%29 == 0:
			m.Text += "\n\n" + strings.Repeat("word ", 800) // two parts
		}
		if err := memory.Send(t.Context(), m); err != nil {
			t.Errorf("owe message %d: %v", i, err)
		}
		time.Sleep(rand.N(150 * time.Millisecond))
	}
}

// mischief makes things go wrong until over is closed.
func mischief(f *fakeslack.Server, over <-chan struct{}) {
	methods := []string{"chat.postMessage", "chat.postMessage", "chat.postMessage", "conversations.history", "conversations.replies", "conversations.open", "apps.connections.open", "auth.test"}
	faults := []fakeslack.Fault{
		{LoseReply: true},
		{Garble: true},
		{Status: 500},
		{Status: 503, Times: 2},
		{Drop: true},
		{Error: "internal_error"},
		{Error: "fatal_error"},
		{Delay: 100 * time.Millisecond},
		{Delay: 50 * time.Millisecond, LoseReply: true},
	}
	sockets := []func(){
		f.DropConnections, func() { f.Disconnect(fakeslack.Warning) }, func() { f.Disconnect(fakeslack.RefreshRequested) },
		func() { f.IgnoreAcks(2) }, func() { f.Twice(3) }, func() { f.Reorder(3) }, func() { f.Freeze(1) },
		func() { f.Pings(false) }, func() { f.Pings(true) }, func() { f.SendRaw(`{"envelope_id":"x","type":"events_api","payload":[`) },
		func() { f.Inject(fakeslack.Fault{Method: "chat.postMessage", RetryAfter: time.Second}) },
	}
	for {
		select {
		case <-over:
			return
		case <-time.After(rand.N(120 * time.Millisecond)):
		}
		if rand.N(3) > 0 {
			fault := faults[rand.N(len(faults))]
			fault.Method = methods[rand.N(len(methods))]
			f.Inject(fault)
			continue
		}
		sockets[rand.N(len(sockets))]()
	}
}

// waitForPeace waits until everything has arrived, or nothing more does.
func waitForPeace(t *testing.T, f *fakeslack.Server, memory *sqlite.Store, v *victim) {
	t.Helper()
	done := func() bool {
		due, err1 := memory.Due(t.Context(), "slack", time.Now().Add(time.Hour), 10_000)
		sent, err2 := memory.Messages(t.Context(), 0, 10_000)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for _, m := range sent {
			if m.State != "sent" {
				return false
			}
		}
		return len(due) >= said+2 && len(sent) >= said
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Errorf("not everything arrived; %d connections\n%s", f.Connections(), tail(v.log.String(), 4000))
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func tail(s string, n int) string { return s[max(len(s)-n, 0):] }

// checkHeard finds each message of people in exactly one delivery.
func checkHeard(t *testing.T, memory *sqlite.Store) {
	t.Helper()
	due, err := memory.Due(t.Context(), "slack", time.Now().Add(time.Hour), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, d := range due {
		count[d.Text]++
	}
	for i := range said {
		if n := count[fmt.Sprintf("heard-%03d", i)]; n != 1 {
			t.Errorf("message %d of people is in %d deliveries, want 1", i, n)
		}
	}
}

// checkSeen finds each part of our messages once in what people see.
func checkSeen(t *testing.T, f *fakeslack.Server) {
	t.Helper()
	count := map[string]int{}
	for _, channel := range []string{f.DM(ann), f.DM(ben)} {
		for _, m := range f.Seen(channel) {
			if m.User == fakeslack.BotUser {
				count[m.Metadata]++
				count[strings.SplitN(m.Text, "\n", 2)[0]]++
			}
		}
	}
	for i := range said {
		if n := count[fmt.Sprintf("said-%03d", i)]; n != 1 {
			t.Errorf("our message %d is seen %d times, want once", i, n)
		}
	}
	for metadata, n := range count {
		if strings.Contains(metadata, "key-") && n != 1 {
			t.Errorf("%s is seen %d times, want once", metadata, n)
		}
	}
}

// checkNoToken looks for the tokens in the logs and in the memory.
func checkNoToken(t *testing.T, v *victim) {
	t.Helper()
	places := map[string][]byte{"the log": []byte(v.log.String())}
	files, err := filepath.Glob(v.path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("memory: %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(file)] = content
	}
	for place, content := range places {
		for _, token := range []string{"leakedbottoken", "leakedapptoken", "ticket-"} {
			if bytes.Contains(content, []byte(token)) {
				t.Errorf("%s holds %s", place, token)
			}
		}
	}
}
