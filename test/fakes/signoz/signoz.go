// Package signoz is a SigNoz for tests: an HTTP handler on loopback with the
// shapes and the errors of query range v5 (the query builder, for logs, traces
// and metrics), of alert rules and of their history.
//
// It is faithful where that matters: it parses filter expressions and refuses
// a broken one, so that a value that is not quoted well cannot pass; it
// refuses SQL; times are milliseconds; an unknown path is the page of the UI.
package signoz

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"watchkeeper/test/fakes/fault"
)

// Key is the only one that is accepted.
const Key = "fake-signoz-key-of-the-tests"

// A Record is a log line or a span: its time and its columns, under the names
// that filters use. A span has duration_nano (float64) and has_error (bool).
type Record struct {
	At      time.Time
	Columns map[string]any
}

// A Series is one of a metric.
type Series struct {
	Labels map[string]string
	Points []Point
}

// A Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64
}

// A Fault is what happens instead of an answer.
type Fault = fault.Fault

// A Server is the fake. Its fields may be changed before it is used.
type Server struct {
	Logs, Spans []Record
	Metrics     map[string][]Series
	Rules       []map[string]any            // as the API has them
	History     map[string][]map[string]any // by rule
	Old         bool                        // only /api/v1 for rules

	fault.Log // of requests, as "GET /api/v2/…?…", and of filter expressions
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Fails(w, r, voice) {
		return
	}
	if r.Header.Get("SIGNOZ-API-KEY") != Key {
		refuse(w, http.StatusUnauthorized, "unauthenticated", "invalid api key")
		return
	}
	version, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/"), "/")
	switch {
	case r.URL.Path == "/api/v5/query_range" && r.Method == http.MethodPost:
		s.queryRange(w, r)
	case strings.HasPrefix(rest, "rules") && version == map[bool]string{false: "v2", true: "v1"}[s.Old]:
		s.rules(w, r, strings.Trim(strings.TrimPrefix(rest, "rules"), "/"))
	default:
		ui(w)
	}
}

const page = "<!doctype html><html><head><title>SigNoz</title></head></html>"

// voice is how SigNoz speaks of a fault.
var voice = fault.Voice{
	Page:   page,
	Refuse: func(w http.ResponseWriter, status int) { refuse(w, status, "some_code", http.StatusText(status)) },
}

// ui answers with the page of the UI, as for every unknown path.
func ui(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(page))
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"status": "error", "error": map[string]any{"code": code, "message": message, "errors": []any{}}})
}

func succeed(w http.ResponseWriter, data any) {
	answer(w, http.StatusOK, map[string]any{"status": "success", "data": data})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) rules(w http.ResponseWriter, r *http.Request, rest string) {
	id, rest, _ := strings.Cut(rest, "/")
	i := slices.IndexFunc(s.Rules, func(rule map[string]any) bool { return rule["id"] == id })
	switch {
	case id == "" && s.Old:
		succeed(w, map[string]any{"rules": s.Rules})
	case id == "":
		succeed(w, s.Rules)
	case i < 0:
		refuse(w, http.StatusNotFound, "not_found", "rule "+id+" not found")
	case rest == "":
		succeed(w, s.Rules[i])
	case rest == "history/timeline" && (r.Method == http.MethodPost) == s.Old:
		s.timeline(w, r, id)
	default:
		ui(w)
	}
}

func (s *Server) timeline(w http.ResponseWriter, r *http.Request, id string) {
	var in struct{ Start, End, Limit int64 }
	q := r.URL.Query()
	if s.Old {
		_ = json.NewDecoder(r.Body).Decode(&in)
	} else {
		in.Start, _ = strconv.ParseInt(q.Get("start"), 10, 64)
		in.End, _ = strconv.ParseInt(q.Get("end"), 10, 64)
		in.Limit, _ = strconv.ParseInt(q.Get("limit"), 10, 64)
	}
	items := []map[string]any{}
	for _, h := range s.History[id] {
		if at, _ := h["unixMilli"].(int64); at >= in.Start && at < in.End {
			items = append(items, h)
		}
	}
	succeed(w, map[string]any{"items": items[:min(int64(len(items)), max(in.Limit, 1))], "total": len(items)})
}
