package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
)

// Socket Mode is spoken here and not by slack-go's socketmode package, because
// that one connects again without a pause when a connection ends at once,
// leaves envelopes that it cannot parse unacknowledged, and stops reading,
// pings included, while the receiver of its events is busy. What is left of
// the protocol is small: frames in, acknowledgements out.

// Bounds of a connection.
const (
	handshakeWithin = 15 * time.Second
	helloWithin     = 30 * time.Second // after the handshake
	pingWithin      = 30 * time.Second // Slack pings every few seconds
	writeWithin     = 10 * time.Second
	recheckAfter    = 2 * time.Minute // a second look at how many connections there are
	maxFrame        = 8 << 20         // bytes
	maxQueue        = 10_000          // frames that wait for the memory
)

// linkDisabled is the reason that Slack gives when Socket Mode is switched off.
const linkDisabled = "link_disabled"

var (
	errRefresh = errors.New("slack asked for a new connection")
	errRecheck = errors.New("a second look at the number of connections")
)

// connection opens one connection and works until it ends; the error says why.
func (l *Link) connection(ctx context.Context) error {
	if err := l.identify(ctx); err != nil {
		return err
	}
	conn, err := l.dial(ctx)
	if err != nil {
		return err
	}
	q := &queue{wake: newSignal()}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { q.end(l.read(conn, q)); return nil })
	g.Go(func() error { return l.serve(ctx, conn, q) })
	g.Go(func() error {
		<-ctx.Done() // shutdown, or the other half has ended
		return conn.Close()
	})
	return g.Wait()
}

func (l *Link) dial(ctx context.Context) (*websocket.Conn, error) {
	_, url, err := l.Client.api.StartSocketModeContext(ctx)
	if err != nil {
		return nil, l.Client.wrap("open a connection", err)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: handshakeWithin}
	conn, resp, err := dialer.DialContext(ctx, url, nil)
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		return nil, l.Client.wrap("dial slack", err)
	}
	conn.SetReadLimit(maxFrame)
	return conn, conn.SetReadDeadline(time.Now().Add(helloWithin))
}

// read moves frames to the queue and answers pings. It waits for nobody: a
// connection that does not answer is cut, and takes events with it.
func (l *Link) read(conn *websocket.Conn, q *queue) error {
	conn.SetPingHandler(func(data string) error {
		if err := conn.SetReadDeadline(time.Now().Add(l.Silence)); err != nil {
			return err
		}
		return conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeWithin))
	})
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return l.Client.wrap("read from slack", err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(l.Silence)); err != nil {
			return err
		}
		q.add(raw)
	}
}

// serve stores and acknowledges what is in the queue, to its end: what Slack
// said last tells why it hung up.
func (l *Link) serve(ctx context.Context, conn *websocket.Conn, q *queue) error {
	recheck := time.NewTimer(recheckAfter)
	recheck.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-recheck.C:
			return errRecheck
		case <-q.wake:
		}
		frames, ended := q.take()
		for _, raw := range frames {
			ack, err := l.frame(ctx, raw)
			if err == nil && ack != "" {
				err = writeAck(conn, ack)
			}
			if err != nil {
				return err
			}
		}
		if ended != nil {
			return ended
		}
		if l.suspect {
			l.suspect = false
			recheck.Reset(recheckAfter)
		}
	}
}

// frame handles one frame and returns the envelope to acknowledge, "" for
// none. What could not be stored is not acknowledged: Slack sends it again.
func (l *Link) frame(ctx context.Context, raw []byte) (ack string, err error) {
	e, ok := parseEnvelope(raw)
	if !ok {
		l.unparsable(ctx, e)
		return e.ID, nil
	}
	switch e.Type {
	case "hello":
		l.hello(ctx, e)
		return "", nil
	case "disconnect":
		return "", disconnected(e.Reason)
	}
	l.monitor.note(func(h *Health) { h.Received++ })
	if err := l.store(ctx, e); err != nil {
		l.Log.ErrorContext(ctx, "slack event not stored", "err", err, "envelope", e.ID)
		return "", nil
	}
	return e.ID, nil
}

func disconnected(reason string) error {
	if reason == linkDisabled {
		return &RejectedError{linkDisabled}
	}
	// After a warning the connection would live for some seconds more. It is
	// left at once: two of ours would share the events, and look like a double.
	return fmt.Errorf("%w (%s)", errRefresh, cutRunes(reason, 40))
}

func (l *Link) unparsable(ctx context.Context, e envelope) {
	l.monitor.note(func(h *Health) { h.Received++; h.Unparsable++ })
	l.Log.WarnContext(ctx, "slack envelope cannot be read, acknowledged unread", "envelope", e.ID)
	l.gap.set() // the history may show what it was
}

// hello begins to listen. A connection that another process has, or left
// behind, is looked at a second time before anybody is told.
func (l *Link) hello(ctx context.Context, e envelope) {
	again := l.Health().Connections > 1
	l.suspect = e.NumConnections > 1 && !again
	l.monitor.note(func(h *Health) { h.Opened++; h.Connections = e.NumConnections })
	l.monitor.become(Connected, "")
	l.Log.InfoContext(ctx, "connected to slack", "connections", e.NumConnections)
	l.gap.set()
	if e.NumConnections <= 1 {
		return
	}
	l.Log.ErrorContext(ctx, "another process is connected as this slack app and takes some of its events", "connections", e.NumConnections)
	if again {
		text := fmt.Sprintf("%d connections share the events of this Slack app: some of what you write goes to another copy of Watchkeeper. "+
			"Stop the other one, or give it an app of its own.", e.NumConnections)
		if err := l.notice(ctx, "connections:"+time.Now().UTC().Format(time.DateOnly), "", "", text); err != nil {
			l.Log.ErrorContext(ctx, "alarm not stored", "err", err)
		}
	}
}

func writeAck(conn *websocket.Conn, id string) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"envelope_id": id})
	if err != nil {
		return err
	}
	if err := conn.WriteMessage(websocket.TextMessage, body); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// A queue holds frames between the reader and the memory.
type queue struct {
	mu     sync.Mutex
	frames [][]byte
	ended  error // why no more will come
	wake   signal
}

// add never waits. A frame too many is dropped: it comes again, because it is
// not acknowledged.
func (q *queue) add(raw []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) < maxQueue {
		q.frames = append(q.frames, raw)
	}
	q.wake.set()
}

// end says that no more frames will come, and why.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = err
	q.wake.set()
}

func (q *queue) take() ([][]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.frames
	q.frames = nil
	return all, q.ended
}
