// Package trace records the steps that a program takes for an alert, in the
// memory, from where [watchkeeper/trace/otlp] exports them. It is apart from
// that, so that the programs of the session carry no exporter.
package trace

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"golang.org/x/time/rate"

	"watchkeeper/runbook"
)

// patience bounds how long a step may take to be kept.
const patience = 10 * time.Second

// A flood of alerts is not traced one by one: each would cost the memory a
// commit that the alerts themselves need.
const (
	received      = 20 // requests a second whose reception is kept
	receivedBurst = 100
)

// A Keeper is what a Recorder needs of the store.
type Keeper interface {
	RecordSpans(ctx context.Context, spans ...runbook.Span) error
	Received(ctx context.Context, b runbook.Batch) ([]runbook.DeliveryID, error)
	OnlyClaimed(ctx context.Context) (runbook.DeliveryID, error)
}

// A Recorder keeps the steps of one program. A nil Recorder keeps none and
// costs nothing. A step that cannot be kept is logged and forgotten: tracing
// must never stand in the way.
type Recorder struct {
	memory  Keeper
	program string
	log     *slog.Logger
	flood   *rate.Limiter
}

// New returns a Recorder for the steps of program.
func New(memory Keeper, program string, log *slog.Logger) *Recorder {
	return &Recorder{memory: memory, program: program, log: log, flood: rate.NewLimiter(received, receivedBurst)}
}

// Received keeps that b was received from began on, and stored between reading
// it and ended.
func (r *Recorder) Received(ctx context.Context, b runbook.Batch, began, read, ended time.Time) {
	if r == nil || !r.flood.Allow() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	deliveries, err := r.memory.Received(ctx, b)
	var spans []runbook.Span
	for _, d := range deliveries {
		spans = append(spans,
			runbook.Span{Delivery: d, Name: "receive", Program: r.program, Began: began, Ended: ended, Facts: map[string]string{"sender": b.Source, "format": b.Format}},
			runbook.Span{Delivery: d, Name: "store", Program: r.program, Began: read, Ended: ended})
	}
	if err == nil && len(spans) > 0 {
		err = r.memory.RecordSpans(ctx, spans...)
	}
	r.check(ctx, err)
}

// Tools wraps tools so that each call is kept: its name, the cluster and how
// long it took, and none of its other arguments.
func (r *Recorder) Tools(tools []server.ServerTool) []server.ServerTool {
	if r == nil {
		return tools
	}
	out := make([]server.ServerTool, len(tools))
	for i, t := range tools {
		out[i] = t
		out[i].Handler = func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			began := time.Now()
			result, err := t.Handler(ctx, req)
			r.called(ctx, t.Tool.Name, req, began, err != nil || result != nil && result.IsError)
			return result, err
		}
	}
	return out
}

func (r *Recorder) called(ctx context.Context, tool string, req mcp.CallToolRequest, began time.Time, failed bool) {
	ended := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var in struct{ Delivery, Cluster string }
	if text, err := json.Marshal(req.GetArguments()); err == nil {
		_ = json.Unmarshal(text, &in) // arguments of another type are not these
	}
	delivery, err := runbook.ParseDelivery(in.Delivery)
	if err != nil {
		if delivery, err = r.memory.OnlyClaimed(ctx); err != nil {
			r.check(ctx, err)
			return
		}
	}
	r.check(ctx, r.memory.RecordSpans(ctx, runbook.Span{
		Delivery: delivery, Name: "tool " + tool, Program: r.program, Began: began, Ended: ended, Failed: failed,
		Facts: map[string]string{"tool": tool, "cluster": short(in.Cluster)},
	}))
}

// short bounds what the model wrote as the name of a cluster.
func short(s string) string { return s[:min(len(s), 63)] }

func (r *Recorder) check(ctx context.Context, err error) {
	if err != nil {
		r.log.WarnContext(ctx, "step not recorded for tracing", "err", err)
	}
}
