// Package otlp is a receiver of OpenTelemetry traces for tests: OTLP/HTTP with
// protobuf at /v1/traces. It keeps every span, and can be made to refuse.
package otlp

import (
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"sync"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is one that arrived. Identifiers are in hexadecimal digits.
type Span struct {
	Service, Trace, ID, Parent, Name string

	Facts map[string]string
}

// A Receiver is an [net/http.Handler]; its zero value takes everything. It is
// safe for concurrent use.
type Receiver struct {
	mu     sync.Mutex
	refuse int
	header http.Header
	spans  []Span
}

// Refuse answers with status from now on; 0 takes spans again.
func (r *Receiver) Refuse(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = status
}

// Header returns that of the last request; nil before the first.
func (r *Receiver) Header() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.header
}

// Take returns the spans that arrived since the last call.
func (r *Receiver) Take() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := r.spans
	r.spans = nil
	return spans
}

// Complete reports whether one trace holds spans of all names.
func (r *Receiver) Complete(names ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	traces := map[string][]string{}
	for _, s := range r.spans {
		traces[s.Trace] = append(traces[s.Trace], s.Name)
	}
	for _, have := range traces {
		if !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(have, n) }) {
			return true
		}
	}
	return false
}

// ServeHTTP implements [net/http.Handler].
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = req.Header.Clone()
	if r.refuse != 0 {
		http.Error(w, "refused", r.refuse)
		return
	}
	body, err := io.ReadAll(req.Body)
	var data tracepb.TracesData
	if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	for _, of := range data.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, span(of, s))
			}
		}
	}
}

func span(of *tracepb.ResourceSpans, s *tracepb.Span) Span {
	out := Span{
		Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Name: s.Name, Facts: map[string]string{},
	}
	for _, a := range of.Resource.Attributes {
		if a.Key == "service.name" {
			out.Service = a.Value.GetStringValue()
		}
	}
	for _, a := range s.Attributes {
		out.Facts[a.Key] = a.Value.GetStringValue()
	}
	return out
}
