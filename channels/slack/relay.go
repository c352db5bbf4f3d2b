package slack

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// Methods by which the CLI has its permission prompts answered.
const (
	methodAsk    = "notifications/claude/channel/permission_request"
	methodAnswer = "notifications/claude/channel/permission"
)

// stdioClient is the identifier that mcp-go gives the one client of a stdio
// server.
const stdioClient = "stdio"

// promptsAtOnce bounds the prompts that wait to be stored. The CLI shows each
// in its terminal too, so one that is dropped is not lost.
const promptsAtOnce = 64

// A Relay brings the permission prompts of an interactive session to the
// person on call, and the answers back. The prompt stays open in the terminal
// meanwhile, and the first answer wins; the CLI does not tell us of one that was
// given there, so a card stays open until its time is over.
type Relay struct {
	server    *server.MCPServer
	approvals *Approvals
	log       *slog.Logger
	prompts   chan runbook.Approval
}

// NewRelay returns a Relay and declares it to the CLI. Call it before the
// server serves.
func NewRelay(s *server.MCPServer, a *Approvals, log *slog.Logger) *Relay {
	r := &Relay{server: s, approvals: a, log: log, prompts: make(chan runbook.Approval, promptsAtOnce)}
	server.WithExperimental(map[string]any{"claude/channel": map[string]any{}, "claude/channel/permission": map[string]any{}})(s)
	s.AddNotificationHandler(methodAsk, r.receive)
	return r
}

// promptCode is the identifier of a prompt: five letters, no l.
var promptCode = regexp.MustCompile(`^[a-km-z]{5}$`)

// receive takes a prompt. It is called on the read loop and does not block.
func (r *Relay) receive(ctx context.Context, n mcp.JSONRPCNotification) {
	field := func(name string) string {
		s, _ := n.Params.AdditionalFields[name].(string)
		return s
	}
	q := runbook.Approval{
		Code: field("request_id"), Source: fromChannel, Tool: field("tool_name"), Description: field("description"), Input: field("input_preview"),
	}
	if !promptCode.MatchString(q.Code) || q.Tool == "" {
		r.log.WarnContext(ctx, "permission prompt that cannot be read", "id", line(q.Code, 20))
		return
	}
	select {
	case r.prompts <- q:
	default:
		r.log.WarnContext(ctx, "too many permission prompts at once; answer this one in the terminal", "id", q.Code)
	}
}

// Run relays until ctx is done, and returns nil then. What is open is
// withdrawn: the session that asked is gone.
func (r *Relay) Run(ctx context.Context) error {
	open := map[int64]runbook.Approval{}
	defer func() {
		for _, q := range open {
			if err := r.approvals.withdraw(context.WithoutCancel(ctx), q); err != nil {
				r.log.WarnContext(ctx, "question not withdrawn", "approval", q.ID, "err", err)
			}
		}
	}()
	look := time.NewTicker(approvalLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case q := <-r.prompts:
			r.ask(ctx, q, open)
		case <-look.C:
			r.answer(ctx, open)
		}
	}
}

// ask puts a prompt to the person on call. One that is put already, because the
// CLI sent it again, is left alone.
func (r *Relay) ask(ctx context.Context, q runbook.Approval, open map[int64]runbook.Approval) {
	if r.approvals.People.OnCall == "" {
		return
	}
	asked, err := r.approvals.ask(ctx, q)
	if err != nil {
		r.log.WarnContext(ctx, "permission prompt not relayed; answer it in the terminal", "id", q.Code, "err", err)
		return
	}
	open[asked.ID] = asked
}

// answer hands over what was decided.
func (r *Relay) answer(ctx context.Context, open map[int64]runbook.Approval) {
	for id := range open {
		got, err := r.approvals.Memory.Approval(ctx, id)
		if err != nil {
			if ctx.Err() == nil {
				r.log.WarnContext(ctx, "answer not read", "approval", id, "err", err)
			}
			continue
		}
		switch got.State {
		case runbook.ApprovalOpen:
			if time.Now().Before(got.ExpiresAt) {
				continue
			}
			got.State, got.DecidedAt = runbook.ApprovalExpired, time.Now()
			if _, err := r.approvals.Memory.DecideApproval(ctx, got, approvalOutcome(got)); err != nil {
				r.log.WarnContext(ctx, "question not ended", "approval", id, "err", err)
			}
			continue // the next look sees who won
		case runbook.ApprovalAllowed, runbook.ApprovalDenied:
			if err := r.tell(got); err != nil {
				r.log.WarnContext(ctx, "answer not handed over yet", "approval", id, "err", err)
				continue
			}
		}
		delete(open, id) // what expired stays open in the terminal
	}
}

func (r *Relay) tell(q runbook.Approval) error {
	behavior := "deny"
	if q.State == runbook.ApprovalAllowed {
		behavior = "allow"
	}
	err := r.server.SendNotificationToSpecificClient(stdioClient, methodAnswer, map[string]any{"request_id": q.Code, "behavior": behavior})
	if err != nil {
		return fmt.Errorf("answer prompt %s: %w", q.Code, err)
	}
	return nil
}
