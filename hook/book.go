package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"
)

// A Book counts what the sub-agents of each session use. Every hook is a
// process of its own, and the calls of a turn ask at the same time, so it is a
// file for each session that is changed under a lock.
type Book struct {
	Dir string // made when needed
}

// keepFor is how long the page of a session is kept after its last change.
const keepFor = 48 * time.Hour

// placeFor is how long a sub-agent may take from the permission to its start.
const placeFor = time.Minute

// A page is what one session has used.
type page struct {
	Places []time.Time       `json:"places,omitempty"` // sub-agents that may start and have not yet
	Agents map[string]*agent `json:"agents"`           // by the client's identifier
}

// An agent is what one sub-agent has used.
type agent struct {
	Type       string    `json:"type"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended,omitzero"`
	Calls      int       `json:"calls"`
	Denied     int       `json:"denied"` // calls beyond the limits
	Rejections int       `json:"rejections"`
}

// sessionID is the form of the client's identifiers; it becomes a file name.
var sessionID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// change alters the page of session. fn is called exactly once, also when the
// page cannot be read or written: it sees an empty one then.
func (b Book) change(session string, fn func(*page)) (err error) {
	p := page{Agents: map[string]*agent{}}
	called := false
	defer func() {
		if !called {
			fn(&p)
		}
		if err != nil {
			err = fmt.Errorf("count the sub-agents of session %.100q: %w", session, err)
		}
	}()
	if !sessionID.MatchString(session) {
		return errors.New("its identifier has an unknown form")
	}
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(b.Dir, session+".json")
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Close()
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b.forget(time.Now())
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &p); err != nil || p.Agents == nil {
			p = page{Agents: map[string]*agent{}} // half written on a full disk
		}
	}
	called = true
	fn(&p)
	if text, err = json.Marshal(p); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// forget removes the pages of sessions that are long over.
func (b Book) forget(now time.Time) {
	files, _ := filepath.Glob(filepath.Join(b.Dir, "*.json*")) // the pattern is well formed
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && now.Sub(info.ModTime()) > keepFor {
			_ = os.Remove(f) // the next session tries again
		}
	}
}

// find returns the sub-agent that asks, from now on if it is new.
func (p *page) find(in Input, now time.Time) *agent {
	a, ok := p.Agents[in.AgentID]
	if !ok {
		a = &agent{Type: in.AgentType, Started: now}
		p.Agents[in.AgentID] = a
	}
	return a
}

// start puts a sub-agent into the place that was kept for it.
func (p *page) start(in Input, now time.Time) {
	p.find(in, now).Ended = time.Time{}
	if len(p.Places) > 0 {
		p.Places = p.Places[1:]
	}
}

// call counts a call of the sub-agent that asks.
func (p *page) call(in Input, now time.Time) *agent {
	a := p.find(in, now)
	a.Calls++
	return a
}

// running counts the sub-agents that are at work or about to be. One that has
// neither stopped nor may call any more is gone without a word.
func (p *page) running(now time.Time, within time.Duration) int {
	n := 0
	for _, a := range p.Agents {
		if a.Ended.IsZero() && now.Sub(a.Started) <= within+placeFor {
			n++
		}
	}
	for i, at := range p.Places {
		if now.Sub(at) > placeFor {
			continue
		}
		return n + len(p.Places) - i // in order of time
	}
	return n
}
