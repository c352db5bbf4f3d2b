// Package otlp hands the way of each alert to a receiver of OpenTelemetry
// traces, over OTLP/HTTP: one trace an alert, from its reception to its
// verdict, with the steps of all processes.
//
// It exports what the memory holds. The steps are recorded by whoever takes
// them ([trace.Recorder]), and the rest is read off the rows that are there anyway.
// So only one process needs the receiver's address and its secret, what a
// killed process did is not lost, and a receiver that is down is caught up
// with. It does not use the OpenTelemetry SDK, which keeps spans in the memory
// of the process that made them.
package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

const (
	every    = 5 * time.Second // between two looks
	patience = 10 * time.Second
	atOnce   = 500             // rows of a kind in one request
	oldest   = 24 * time.Hour  // of a message; what is older is not caught up with
	longest  = 5 * time.Minute // between two tries while the receiver does not answer
)

// A Memory is what the exporter needs of the store.
type Memory interface {
	Spans(ctx context.Context, limit int) ([]runbook.Span, error)
	SentUntraced(ctx context.Context, since time.Time, limit int) ([]runbook.Sent, error)
	Journeys(ctx context.Context, limit int) ([]runbook.Journey, error)
	Exported(ctx context.Context, spans []runbook.Span, sent []runbook.Sent, journeys []runbook.Journey) error
}

// An Exporter sends to one receiver.
type Exporter struct {
	Memory   Memory
	Endpoint string       // whole URL, with /v1/traces
	Headers  secret.Value // "name=value,name=value", as OTEL_EXPORTER_OTLP_HEADERS has it
	Version  string       // of this program
	Log      *slog.Logger
}

// Run exports until ctx is done, and returns nil then: it retries what fails.
func (e *Exporter) Run(ctx context.Context) error {
	wait := every
	for ctx.Err() == nil {
		more, err := e.Step(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			wait = min(2*wait, longest)
			e.Log.WarnContext(ctx, "traces not exported", "err", err, "retry_after", wait)
		case more:
			wait = 0
		default:
			wait = every
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = max(wait, every)
	}
	return nil
}

// Step exports what there is now, up to a bound, and reports whether there is
// more.
func (e *Exporter) Step(ctx context.Context) (more bool, err error) {
	spans, err1 := e.Memory.Spans(ctx, atOnce)
	sent, err2 := e.Memory.SentUntraced(ctx, time.Now().Add(-oldest), atOnce)
	journeys, err3 := e.Memory.Journeys(ctx, atOnce)
	if err := errors.Join(err1, err2, err3); err != nil {
		return false, err
	}
	if len(spans)+len(sent)+len(journeys) == 0 {
		return false, nil
	}
	b := newBatch(e.Version)
	for _, s := range spans {
		b.span(s)
	}
	for _, m := range sent {
		b.sent(m)
	}
	for _, j := range journeys {
		b.journey(j)
	}
	if err := e.send(ctx, b.traces()); err != nil {
		return false, err
	}
	return max(len(spans), len(sent), len(journeys)) == atOnce, e.Memory.Exported(ctx, spans, sent, journeys)
}

// send posts traces. What the receiver will never take is dropped, so that it
// does not hold up what follows.
func (e *Exporter) send(ctx context.Context, traces *tracepb.TracesData) error {
	// TracesData is on the wire what ExportTraceServiceRequest is.
	body, err := proto.Marshal(traces)
	if err != nil {
		return fmt.Errorf("encode traces: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("export traces: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	for pair := range strings.SplitSeq(e.Headers.Reveal(), ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			req.Header.Set(strings.TrimSpace(name), unescape(strings.TrimSpace(value)))
		}
	}
	// The key must not follow a redirect to another host.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("export traces: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return fmt.Errorf("export traces: %w", err)
	}
	switch {
	case resp.StatusCode < http.StatusMultipleChoices:
		return nil
	case resp.StatusCode == http.StatusBadRequest, resp.StatusCode == http.StatusRequestEntityTooLarge:
		e.Log.ErrorContext(ctx, "the receiver refuses traces, they are dropped", "status", resp.StatusCode)
		return nil
	}
	return fmt.Errorf("export traces: %s answers %s; check telemetry.otlp_endpoint and OTEL_EXPORTER_OTLP_HEADERS", req.URL.Host, resp.Status)
}
