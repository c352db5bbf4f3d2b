package fakeslack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The identifiers of the one team, app and bot.
const (
	Team    = "T0FAKE"
	App     = "A0FAKE"
	BotUser = "U0BOT"
	BotID   = "B0BOT"
)

// Scopes are what the bot token of a new Server may do.
var Scopes = []string{
	"chat:write", "im:history", "im:read", "im:write", "users:read", "reactions:write", "files:write", "dnd:read",
}

// Options of a Server. The zero value is like the real Slack.
type Options struct {
	Addr        string          // where to listen; "" is a free port on 127.0.0.1
	BotToken    string          // "" is "xoxb-fake"
	AppToken    string          // "" is "xapp-fake"
	Scopes      []string        // of the bot token; nil is Scopes
	AckTimeout  time.Duration   // after which an event comes again; 0 is 3 s
	RetryDelays []time.Duration // before each further delivery; nil is at once, 1 min, 5 min
	PingEvery   time.Duration   // WebSocket pings; 0 is 1.7 s
	Burst       int             // messages to one channel before 1 a second holds; 0 is 5, below 0 no limit
}

// A Server is one workspace. It is safe for concurrent use.
type Server struct {
	opts Options
	http *http.Server
	url  string
	ctx  context.Context //nolint:containedctx // the life of the server, which ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // deliveries that are under way

	mu            sync.Mutex
	changed       chan struct{} // closed and replaced at every change
	offset        time.Duration // of our clock
	lastTS        int64         // microseconds
	lastID        int
	users         map[string]User
	channels      map[string]*channel
	scheduled     []*scheduled
	uploads       map[string]*upload
	calls         []Call
	faults        []*Fault
	tokens        map[string]bool // revoked
	tickets       map[string]bool // of connections that were opened and not dialled yet
	sockets       []*socket
	next          int // round robin over the sockets
	pings         bool
	disabled      bool // Socket Mode is switched off
	count         int  // what hello says; 0 is the truth
	ignoreAcks    int
	twice         int
	refuse        int
	reorder       int
	held          []*event
	opens         int
	pongs         int
	notifications []Notification
}

// Start starts a Server. The caller closes it.
func Start(o Options) (*Server, error) {
	o = o.withDefaults()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start fake Slack: %w", err)
	}
	s := &Server{
		opts: o, url: "http://" + l.Addr().String() + "/api/", changed: make(chan struct{}), pings: true,
		users: map[string]User{}, channels: map[string]*channel{}, uploads: map[string]*upload{},
		tokens: map[string]bool{}, tickets: map[string]bool{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.AddUser(User{ID: BotUser, Name: "watchkeeper", Bot: true})
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.serveMethod)
	mux.HandleFunc("POST /upload/{id}", s.serveUpload)
	mux.HandleFunc("GET /link/{$}", s.serveSocket)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.work.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.stop()
		}
	})
	s.work.Go(s.runSchedule)
	return s, nil
}

func (o Options) withDefaults() Options {
	set := func(to *string, def string) {
		if *to == "" {
			*to = def
		}
	}
	set(&o.Addr, "127.0.0.1:0")
	set(&o.BotToken, "xoxb-fake")
	set(&o.AppToken, "xapp-fake")
	if o.Scopes == nil {
		o.Scopes = slices.Clone(Scopes)
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = 3 * time.Second
	}
	if o.RetryDelays == nil {
		o.RetryDelays = []time.Duration{0, time.Minute, 5 * time.Minute}
	}
	if o.PingEvery == 0 {
		o.PingEvery = 1700 * time.Millisecond
	}
	if o.Burst == 0 {
		o.Burst = 5
	}
	return o
}

// Close drops every connection and stops the server.
func (s *Server) Close() error {
	s.stop()
	s.DropConnections()
	err := s.http.Close()
	s.work.Wait()
	return err
}

// URL is the base of the Web API, with a slash at its end.
func (s *Server) URL() string { return s.url }

// BotToken returns the token of the Web API.
func (s *Server) BotToken() string { return s.opts.BotToken }

// AppToken returns the token of Socket Mode.
func (s *Server) AppToken() string { return s.opts.AppToken }

// Now returns the time of the workspace.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return time.Now().Add(s.offset) }

// Advance moves the clock of the workspace forward, and posts the scheduled
// messages that fall due.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
	s.postDue()
}

// Wait blocks until ok is true or ctx is done, which is an error. ok is asked
// after every change of the workspace.
func (s *Server) Wait(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// touch wakes whoever waits for a change.
func (s *Server) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// nextTS returns a ts that is later than all before it.
func (s *Server) nextTS() string {
	s.lastTS = max(s.lastTS+1, s.now().UnixMicro())
	return fmt.Sprintf("%d.%06d", s.lastTS/1e6, s.lastTS%1e6)
}

// nextID returns an identifier that begins with prefix.
func (s *Server) nextID(prefix string) string {
	s.lastID++
	return fmt.Sprintf("%s%08X", prefix, s.lastID)
}

// escape is what Slack does with the text that people write.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
