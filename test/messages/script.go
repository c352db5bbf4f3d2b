package messages

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A Script is the API. It is safe for concurrent use.
type Script struct {
	mu       sync.Mutex
	rules    []*compiled
	requests []Request
	changed  chan struct{} // closed and replaced at every request
}

// New returns a Script with rules, tried in order. A request that none of them
// matches is answered with the text "OK".
func New(rules ...Rule) (*Script, error) {
	s := &Script{changed: make(chan struct{})}
	return s, s.Set(rules...)
}

// Set replaces the rules, and starts their counts afresh.
func (s *Script) Set(rules ...Rule) error {
	ready := make([]*compiled, len(rules))
	for i, r := range rules {
		c, err := compile(r)
		if err != nil {
			return err
		}
		ready[i] = c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = ready
	return nil
}

// Requests returns the calls of /v1/messages so far, oldest first.
func (s *Script) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Await returns the first request for which ok holds, and waits for one until
// ctx is done.
func (s *Script) Await(ctx context.Context, ok func(Request) bool) (Request, error) {
	for seen := 0; ; {
		s.mu.Lock()
		all, changed := s.requests, s.changed
		s.mu.Unlock()
		for ; seen < len(all); seen++ {
			if ok(all[seen]) {
				return all[seen], nil
			}
		}
		select {
		case <-ctx.Done():
			return Request{}, fmt.Errorf("await request: %w (%s)", ctx.Err(), summary(all))
		case <-changed:
		}
	}
}

// AwaitRule returns the first request that the rule name answered.
func (s *Script) AwaitRule(ctx context.Context, name string) (Request, error) {
	r, err := s.Await(ctx, func(r Request) bool { return r.Rule == name })
	if err != nil {
		return r, fmt.Errorf("rule %q: %w", name, err)
	}
	return r, nil
}

// Count returns how many requests the rule name answered.
func (s *Script) Count(name string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Rule == name {
			n++
		}
	}
	return n
}

func summary(all []Request) string {
	var rules []string
	for _, r := range all {
		rules = append(rules, fmt.Sprintf("%q", r.Rule))
	}
	return fmt.Sprintf("%d requests, rules %s", len(all), strings.Join(rules, " "))
}

// ServeHTTP implements [http.Handler].
func (s *Script) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || !strings.HasPrefix(req.URL.Path, "/v1/messages") {
		fail(w, Failure{Status: http.StatusNotFound, Type: "not_found_error"})
		return
	}
	r, err := read(req)
	if err != nil {
		fail(w, Failure{Status: http.StatusBadRequest, Type: "invalid_request_error", Message: err.Error()})
		return
	}
	if strings.HasSuffix(req.URL.Path, "/count_tokens") {
		writeJSON(w, http.StatusOK, map[string]any{"input_tokens": 1 + len(r.Raw)/4})
		return
	}
	rule, caught := s.choose(&r)
	if rule.Hold != nil {
		select {
		case <-rule.Hold:
		case <-req.Context().Done():
			return
		}
	}
	if rule.Fail != nil {
		fail(w, *rule.Fail)
		return
	}
	if rule.Do != nil {
		rule.Reply = rule.Do(r)
	}
	answer(w, r, rule.Reply, caught)
}

func read(req *http.Request) (Request, error) {
	in := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return Request{}, err
		}
		in = z
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return Request{}, err
	}
	r := Request{Path: req.URL.Path, Header: req.Header.Clone(), Raw: raw}
	return r, json.Unmarshal(raw, &r.body)
}

// choose finds the rule for r, and records r with its name.
func (s *Script) choose(r *Request) (Rule, map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rule, caught := Rule{Reply: []Block{Text("OK")}}, map[string]string(nil)
	for _, c := range s.rules {
		if m, ok := c.match(*r); ok {
			c.used++
			rule, caught = c.Rule, m
			break
		}
	}
	r.Rule = rule.Name
	s.requests = append(s.requests, *r)
	close(s.changed)
	s.changed = make(chan struct{})
	return rule, caught
}
