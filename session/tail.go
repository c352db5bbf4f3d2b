package session

import (
	"strings"
	"sync"
	"time"
)

const (
	tailLines   = 20 // that are kept
	linesMinute = 60 // that are logged
)

// A tail keeps the last lines, and says which of them are still worth a line
// of the log.
type tail struct {
	mu     sync.Mutex
	lines  []string
	minute time.Time
	logged int
}

// add keeps text, and reports whether it is among the first of its minute.
func (t *tail) add(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, text)
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
	if now := time.Now(); now.Sub(t.minute) >= time.Minute {
		t.minute, t.logged = now, 0
	}
	t.logged++
	return t.logged <= linesMinute
}

// String returns the lines that are kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
