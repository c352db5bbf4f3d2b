// Package fault is what the fakes of web services have in common: they note what
// they are asked, and fail when a test wants it.
package fault

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Fault is what happens instead of an answer.
type Fault struct {
	Status int           // with an error as the service writes it; a redirect leads to where nobody is
	HTML   bool          // a web page with Status, or 200
	Body   string        // this body with Status, or 200
	Delay  time.Duration // before any answer
	Hang   bool          // no answer until the client gives up
	Times  int           // for so many requests; 0 is for all
}

// A Log is the part of a fake that notes and fails. The zero Log has noted
// nothing and is well. It is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	fault *Fault
	asked []string
}

// Fail makes every request end in f, until it is called again; nil heals it.
func (l *Log) Fail(f *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = f
}

// Asked returns what was noted so far.
func (l *Log) Asked() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

// Note adds what was asked.
func (l *Log) Note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, what)
}

// next returns the fault that the next request meets, nil if there is none.
func (l *Log) next() *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fault
	if f != nil && f.Times > 0 {
		left := *f
		l.fault = &left
		if left.Times--; left.Times == 0 {
			l.fault = nil
		}
	}
	return f
}

// A Voice is how a service says what it says to a fault.
type Voice struct {
	Page   string                                  // the web page that it answers with instead of JSON
	Refuse func(w http.ResponseWriter, status int) // an error of its own
}

// Fails notes a request as "GET /path?query" and plays the fault that is set. It
// reports whether that answered.
func (l *Log) Fails(w http.ResponseWriter, r *http.Request, v Voice) bool {
	l.Note(r.Method + " " + r.URL.RequestURI())
	f := l.next()
	if f == nil {
		return false
	}
	// The end of a client is seen only once its body was read.
	_, _ = io.Copy(io.Discard, r.Body)
	return f.wait(r) || f.play(w, v)
}

// wait reports whether the client gave up.
func (f *Fault) wait(r *http.Request) bool {
	wait := f.Delay
	if f.Hang {
		wait = time.Hour
	}
	if wait == 0 {
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-r.Context().Done():
		return true
	case <-t.C:
		return false
	}
}

// play reports whether it answered.
func (f *Fault) play(w http.ResponseWriter, v Voice) bool {
	switch {
	case f.HTML:
		write(w, cmp.Or(f.Status, http.StatusOK), "text/html; charset=utf-8", v.Page)
	case f.Body != "":
		write(w, cmp.Or(f.Status, http.StatusOK), "application/json", f.Body)
	case f.Status >= 300 && f.Status < 400:
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(f.Status)
	case f.Status != 0:
		v.Refuse(w, f.Status)
	default:
		return false
	}
	return true
}

func write(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
