package fakeslack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// The reasons that Slack gives when it ends a connection.
const (
	Warning          = "warning"           // it will end in about ten seconds
	RefreshRequested = "refresh_requested" // it ends now, open another
	LinkDisabled     = "link_disabled"     // Socket Mode was switched off
)

// maxSockets is how many connections one app may have.
const maxSockets = 10

// An event waits for an acknowledgement.
type event struct {
	kind    string // type of the envelope
	payload reply
	attempt int
	acked   chan struct{} // closed once it is
}

type socket struct {
	conn    *websocket.Conn
	write   sync.Mutex
	pending map[string]*event // by envelope; under Server.mu
}

func (k *socket) send(v any) error {
	k.write.Lock()
	defer k.write.Unlock()
	_ = k.conn.SetWriteDeadline(time.Now().Add(5 * time.Second)) // a write that fails says so itself
	if raw, ok := v.(string); ok {
		return k.conn.WriteMessage(websocket.TextMessage, []byte(raw))
	}
	return k.conn.WriteJSON(v)
}

func openConnection(s *Server, _ Call) (reply, string) {
	s.opens++
	if s.disabled {
		return nil, "internal_error"
	}
	if len(s.sockets) >= maxSockets {
		return nil, "too_many_websockets"
	}
	ticket := s.nextID("ticket-")
	s.tickets[ticket] = true
	base := "ws" + strings.TrimPrefix(strings.TrimSuffix(s.url, "/api/"), "http")
	return reply{"url": fmt.Sprintf("%s/link/?ticket=%s&app_id=%s", base, ticket, App)}, ""
}

// Opens returns how many connections were asked for so far.
func (s *Server) Opens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// serveSocket is one Socket Mode connection, from the handshake to its end.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	s.mu.Lock()
	valid := s.tickets[ticket]
	delete(s.tickets, ticket)
	s.mu.Unlock()
	if !valid {
		http.Error(w, "ticket is unknown or was used", http.StatusUnauthorized)
		return
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	k := &socket{conn: conn, pending: map[string]*event{}}
	defer conn.Close()
	if !s.join(k) {
		return
	}
	defer s.leave(k)
	gone := make(chan struct{})
	defer close(gone)
	s.work.Go(func() { s.ping(k, gone) })
	s.read(k)
}

// join says hello and adds the connection, or ends it at once when a test
// asked for that.
func (s *Server) join(k *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := k.send(reply{
		"type": "hello", "num_connections": max(len(s.sockets)+1, s.count), "connection_info": reply{"app_id": App},
		"debug_info": reply{"host": "applink-fake-1", "build_number": 10, "approximate_connection_time": 18060},
	})
	if err != nil {
		return false
	}
	if s.refuse > 0 {
		s.refuse--
		return false
	}
	s.sockets = append(s.sockets, k)
	s.touch()
	return true
}

func (s *Server) leave(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = slices.DeleteFunc(s.sockets, func(o *socket) bool { return o == k })
	s.touch()
}

func (s *Server) ping(k *socket, gone <-chan struct{}) {
	tick := time.NewTicker(s.opts.PingEvery)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-s.ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			on := s.pings
			s.mu.Unlock()
			if on {
				_ = k.conn.WriteControl(websocket.PingMessage, []byte("Ping from applink-fake-1"), time.Now().Add(time.Second)) // read sees that it is gone
			}
		}
	}
}

// read takes acknowledgements until the connection ends. A client that answers
// no ping for long is dropped.
func (s *Server) read(k *socket) {
	patience := max(4*s.opts.PingEvery, time.Second)
	alive := func() error {
		s.mu.Lock()
		on := s.pings
		s.mu.Unlock()
		if !on {
			return k.conn.SetReadDeadline(time.Time{})
		}
		return k.conn.SetReadDeadline(time.Now().Add(patience))
	}
	k.conn.SetPongHandler(func(string) error {
		s.mu.Lock()
		s.pongs++
		s.mu.Unlock()
		return alive()
	})
	for {
		if alive() != nil {
			return
		}
		_, raw, err := k.conn.ReadMessage()
		if err != nil {
			return
		}
		var ack struct {
			EnvelopeID string `json:"envelope_id"`
		}
		if json.Unmarshal(raw, &ack) == nil {
			s.ack(k, ack.EnvelopeID)
		}
	}
}

func (s *Server) ack(k *socket, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := k.pending[id]
	if e == nil {
		return
	}
	if s.ignoreAcks > 0 {
		s.ignoreAcks--
		return
	}
	delete(k.pending, id)
	select {
	case <-e.acked:
	default:
		close(e.acked)
	}
	s.touch()
}

// emit sends an event of the Events API, as often as it takes. It is called
// under the lock.
func (s *Server) emit(body reply) {
	e := &event{kind: "events_api", acked: make(chan struct{}), payload: reply{
		"token": "verification", "team_id": Team, "api_app_id": App, "event": body, "type": "event_callback",
		"event_id": s.nextID("Ev"), "event_time": s.now().Unix(), "event_context": "4-fake", "is_ext_shared_channel": false,
		"authorizations": []reply{{"enterprise_id": nil, "team_id": Team, "user_id": BotUser, "is_bot": true, "is_enterprise_install": false}},
	}}
	if s.reorder > 0 {
		s.reorder--
		s.held = append(s.held, e)
		if s.reorder == 0 {
			s.flushHeld()
		}
		return
	}
	s.start(e)
}

// flushHeld sends what was held back, the last first.
func (s *Server) flushHeld() {
	for _, e := range slices.Backward(s.held) {
		s.start(e)
	}
	s.held = nil
}

// start delivers e in the order in which it is called, and again until it is
// acknowledged.
func (s *Server) start(e *event) {
	if s.ctx.Err() != nil {
		return
	}
	if len(s.sockets) > 0 {
		s.hand(e)
		if s.twice > 0 {
			s.twice--
			s.hand(e)
		}
	}
	s.work.Go(func() { s.insist(e) })
}

// insist delivers e again after each delay, until it is acknowledged.
func (s *Server) insist(e *event) {
	wait := s.opts.AckTimeout
	for _, delay := range s.opts.RetryDelays {
		select {
		case <-e.acked:
			return
		case <-s.ctx.Done():
			return
		case <-time.After(wait + delay):
		}
		e.attempt++
		s.deliver(e)
	}
}

func (s *Server) deliver(e *event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sockets) > 0 {
		s.hand(e)
	}
}

// hand gives e to one of the connections, in turn.
func (s *Server) hand(e *event) {
	select {
	case <-e.acked:
		return
	default:
	}
	s.next++
	k := s.sockets[s.next%len(s.sockets)]
	id := s.nextID("envelope-")
	k.pending[id] = e
	envelope := reply{"envelope_id": id, "type": e.kind, "payload": e.payload, "accepts_response_payload": e.kind == "interactive"}
	if e.kind == "events_api" {
		envelope["retry_attempt"], envelope["retry_reason"] = e.attempt, ""
		if e.attempt > 0 {
			envelope["retry_reason"] = "timeout"
		}
	}
	_ = k.send(envelope) // one that is lost comes again
}

// Connections returns how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// Disconnect tells every connection that it ends, for one of the reasons, and
// ends those that end now.
func (s *Server) Disconnect(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled = s.disabled || reason == LinkDisabled
	for _, k := range s.sockets {
		_ = k.send(reply{"type": "disconnect", "reason": reason, "debug_info": reply{"host": "applink-fake-1"}})
		if reason != Warning {
			_ = k.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
		}
	}
}

// DropConnections cuts every connection without a word.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.sockets {
		_ = k.conn.NetConn().Close()
	}
}

// Pongs returns how many pings were answered so far.
func (s *Server) Pongs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pongs
}

// Pings switches the WebSocket pings off and on; the connections stay open.
func (s *Server) Pings(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pings = on
}

// Freeze makes Socket Mode end the next n connections right after hello.
func (s *Server) Freeze(n int) { s.set(&s.refuse, n) }

// IgnoreAcks loses the next n acknowledgements, so that their events come
// again.
func (s *Server) IgnoreAcks(n int) { s.set(&s.ignoreAcks, n) }

// Twice delivers each of the next n events two times.
func (s *Server) Twice(n int) { s.set(&s.twice, n) }

// Reorder holds the next n events back and sends them in reverse.
func (s *Server) Reorder(n int) { s.set(&s.reorder, n) }

// ClaimConnections makes hello say that there are at least n connections.
func (s *Server) ClaimConnections(n int) { s.set(&s.count, n) }

func (s *Server) set(field *int, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*field = n
}

// SendRaw sends text as it is on every connection. An envelope_id in it counts
// as sent: [Server.Acked] tells whether it was acknowledged.
func (s *Server) SendRaw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var envelope struct {
		EnvelopeID string `json:"envelope_id"`
	}
	_ = json.Unmarshal([]byte(text), &envelope) // text may be anything
	for _, k := range s.sockets {
		if envelope.EnvelopeID != "" {
			k.pending[envelope.EnvelopeID] = &event{acked: make(chan struct{})}
		}
		_ = k.send(text)
	}
}

// Acked reports whether an envelope of SendRaw was acknowledged, or its
// connection is gone.
func (s *Server) Acked(envelopeID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.sockets, func(k *socket) bool { return k.pending[envelopeID] != nil })
}
