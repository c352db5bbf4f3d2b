package fakeslack

import (
	"fmt"
	"net/http"
	"time"
)

// A Fault makes calls of a method go wrong. One of the ways is set, and Delay
// may come with any of them.
type Fault struct {
	Method string // "" is every method
	Times  int    // calls that it spoils; 0 is one

	Status     int           // answers with this HTTP status, such as 503, without doing anything
	RetryAfter time.Duration // answers 429 and asks to wait, in whole seconds
	Error      string        // answers ok: false with this error
	Drop       bool          // closes the connection without doing anything
	LoseReply  bool          // does what is asked, and closes the connection instead of answering
	Garble     bool          // does what is asked, and answers 502 with a page
	Delay      time.Duration // before anything else
}

// Inject adds a fault. Faults of a method spoil calls in the order in which
// they were added.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(f.Times, 1)
	s.faults = append(s.faults, &f)
}

// Heal removes all faults, and lets connections through again.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.pings, s.refuse, s.ignoreAcks, s.twice, s.reorder, s.disabled = nil, true, 0, 0, 0, 0, false
	s.flushHeld()
}

// Revoke makes a token invalid.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = true
}

// fault takes the next fault of a method; the zero Fault does no harm.
func (s *Server) fault(method string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times > 0 && (f.Method == "" || f.Method == method) {
			f.Times--
			return *f
		}
	}
	return Fault{}
}

// before does what goes wrong before the call; it reports whether the call is
// run at all.
func (f Fault) before(w http.ResponseWriter, r *http.Request) bool {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	}
	switch {
	case f.Status != 0:
		http.Error(w, http.StatusText(f.Status), f.Status)
	case f.RetryAfter > 0:
		w.Header().Set("Retry-After", fmt.Sprint(int(f.RetryAfter.Seconds())))
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = fmt.Fprint(w, `{"ok":false,"error":"ratelimited"}`) // a client that hung up has its own trouble
	case f.Error != "":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = fmt.Fprintf(w, `{"ok":false,"error":%q}`, f.Error)
	case f.Drop:
		hangUp(w)
	default:
		return true
	}
	return false
}

// after does what goes wrong after the call; it reports whether the call is
// answered.
func (f Fault) after(w http.ResponseWriter, _ *http.Request) bool {
	switch {
	case f.LoseReply:
		hangUp(w)
	case f.Garble:
		http.Error(w, "<html>Bad Gateway</html>", http.StatusBadGateway)
	default:
		return true
	}
	return false
}

func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }
