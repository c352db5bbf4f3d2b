package otlp

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"watchkeeper/runbook"
)

// A batch gathers spans by the program that they are of: in a view of traces
// each is a service.
type batch struct {
	version string
	spans   map[string][]*tracepb.Span
}

func newBatch(version string) *batch {
	return &batch{version, map[string][]*tracepb.Span{}}
}

// keeper is the program under which whole journeys are shown.
const keeper = "watchkeeper"

// span adds a step that was recorded. One without a delivery is a trace of its
// own.
func (b *batch) span(s runbook.Span) {
	out := step(s.Trace, fmt.Sprintf("span %d", s.ID), s.Name, s.Began, s.Ended)
	if s.Trace == "" {
		out = step(digest(32, fmt.Sprintf("trace of span %d %d", s.ID, s.Began.UnixNano())), "", s.Name, s.Began, s.Ended)
	}
	out.Attributes = attributes(s.Facts)
	if s.Failed {
		out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
	b.spans[s.Program] = append(b.spans[s.Program], out)
}

// sent adds the way of a message to a person.
func (b *batch) sent(m runbook.Sent) {
	out := step(m.Trace, fmt.Sprintf("message %d", m.ID), "tell a person: "+m.Kind, m.Stored, m.Shown)
	out.Attributes = attributes(map[string]string{"message.kind": m.Kind})
	b.spans[keeper] = append(b.spans[keeper], out)
}

// journey adds the root of a delivery and its stages.
func (b *batch) journey(j runbook.Journey) {
	root := step(j.Trace, "", "alert "+cmp.Or(j.Alert, string(j.Kind)), j.CreatedAt, j.DoneAt)
	root.Attributes = attributes(map[string]string{
		"delivery": j.ID.String(), "event": string(j.Kind), "alert": j.Alert, "service": j.Service, "cluster": j.Cluster,
		"namespace": j.Namespace, "severity": string(j.Severity), "env": string(j.Env), "verdict": string(j.Verdict),
		"alerts": strconv.Itoa(j.Alerts), "pushes": strconv.Itoa(j.Pushes), "escalated": strconv.FormatBool(j.Escalated),
	})
	pushed := j.PushedAt
	if !j.ClaimedAt.IsZero() && (pushed.IsZero() || j.ClaimedAt.Before(pushed)) {
		pushed = j.ClaimedAt // it was claimed before the push was noted
	}
	all := []*tracepb.Span{root}
	for _, s := range []struct {
		name         string
		began, ended time.Time
	}{
		{"wait for a push", j.CreatedAt, pushed},
		{"wait for a claim", pushed, j.ClaimedAt},
		{"decide", j.ClaimedAt, j.DoneAt},
	} {
		if !s.began.IsZero() && !s.ended.Before(s.began) {
			all = append(all, step(j.Trace, s.name, s.name, s.began, s.ended))
		}
	}
	b.spans[keeper] = append(b.spans[keeper], all...)
}

// step returns a span of trace. key tells it from the others of that trace, so
// that exporting it twice gives the same span; "" is the root.
func step(trace, key, name string, began, ended time.Time) *tracepb.Span {
	root := raw(trace[:16])
	s := &tracepb.Span{
		TraceId: raw(trace), SpanId: root, Name: name, Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(began.UnixNano()), EndTimeUnixNano: uint64(ended.UnixNano()), //nolint:gosec // after 1970
	}
	if key != "" {
		s.SpanId, s.ParentSpanId = raw(digest(16, trace+" "+key)), root
	}
	return s
}

// traces returns what was gathered.
func (b *batch) traces() *tracepb.TracesData {
	out := new(tracepb.TracesData)
	for _, program := range slices.Sorted(maps.Keys(b.spans)) {
		out.ResourceSpans = append(out.ResourceSpans, &tracepb.ResourceSpans{
			Resource:   &resourcepb.Resource{Attributes: attributes(map[string]string{"service.name": program, "service.namespace": keeper, "service.version": b.version})},
			ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "watchkeeper/trace"}, Spans: b.spans[program]}},
		})
	}
	return out
}

// attributes leaves out what is empty.
func attributes(facts map[string]string) []*commonpb.KeyValue {
	var all []*commonpb.KeyValue
	for _, k := range slices.Sorted(maps.Keys(facts)) {
		if facts[k] != "" {
			all = append(all, &commonpb.KeyValue{Key: k, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: strings.ToValidUTF8(facts[k], "?")}}})
		}
	}
	return all
}

// digest returns n hexadecimal digits that stand for text.
func digest(n int, text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:n]
}

// raw returns the bytes of hexadecimal digits, which are our own.
func raw(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return b
}

// unescape undoes the escapes that a header's value may have.
func unescape(value string) string {
	if s, err := url.PathUnescape(value); err == nil {
		return s
	}
	return value
}
