package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

const (
	putTimeout  = 20 * time.Second // senders hang up after 10 to 60 s
	pingTimeout = 2 * time.Second
	retryAfter  = "5" // seconds
)

// A Config is what a [Handler] works with. Store, Normalizer and Log are
// required.
type Config struct {
	Store      Store
	Normalizer *Normalizer
	Log        *slog.Logger

	Token         secret.Value // Bearer, or the password of Basic
	HMAC          secret.Value // key of signed requests; with neither, everybody may send
	HMACHeader    string       // "" means Grafana's
	HMACTimestamp string       // "" if the body alone is signed

	// Received hears what was stored, after the sender has its answer: when the
	// request began, when its body was read and when the commit was durable. Nil
	// costs nothing. It is for tracing.
	Received func(ctx context.Context, b runbook.Batch, began, read, stored time.Time)

	Ready  Pinger  // asked by /readyz; nil means always ready
	Gauges []Gauge // shown at /metrics beside the intake's own numbers
}

// A Handler serves the webhook, /healthz, /readyz and /metrics. It is safe for
// concurrent use.
type Handler struct {
	store      Store
	normalizer *Normalizer
	log        *slog.Logger
	auth       auth
	ready      Pinger
	metrics    *metrics
	buffers    *buffers
	received   func(ctx context.Context, b runbook.Batch, began, read, stored time.Time)
}

// New returns a Handler for c.
func New(c Config) *Handler {
	return &Handler{
		store:      c.Store,
		normalizer: c.Normalizer,
		log:        c.Log,
		auth:       newAuth(c),
		ready:      c.Ready,
		metrics:    newMetrics(c.Gauges),
		buffers:    newBuffers(),
		received:   c.Received,
	}
}

// ServeHTTP implements [http.Handler]. It does not use a ServeMux, which
// answers an unclean path with a redirect: senders drop an alert on a 3xx.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimRight(r.URL.Path, "/")
	source, isHook := strings.CutPrefix(path, "/webhook")
	switch {
	case isHook && (source == "" || (source[0] == '/' && strings.Count(source, "/") == 1)):
		h.webhook(w, r, sourceName(source))
	case path == "/healthz":
		h.page(w, r, func() { writeText(w, http.StatusOK, "ok") })
	case path == "/readyz":
		h.page(w, r, func() { h.readyz(w, r) })
	case path == "/metrics":
		h.page(w, r, func() { h.metrics.page.ServeHTTP(w, r) })
	default:
		writeText(w, http.StatusNotFound, "nothing here: POST alerts to /webhook or /webhook/SOURCE; GET /healthz, /readyz or /metrics")
	}
}

// page serves what is only read.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, serve func()) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeText(w, http.StatusMethodNotAllowed, "GET this page; alerts go to /webhook")
		return
	}
	serve()
}

func (h *Handler) readyz(w http.ResponseWriter, r *http.Request) {
	if h.ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
		defer cancel()
		if err := h.ready.Ping(ctx); err != nil {
			h.log.WarnContext(ctx, "not ready", "err", err)
			w.Header().Set("Retry-After", retryAfter)
			writeText(w, http.StatusServiceUnavailable, "not ready: alerts cannot be stored; the log says why")
			return
		}
	}
	writeText(w, http.StatusOK, "ready")
}

// An answer is what a sender is told.
type answer struct {
	code    int
	text    string // for people; unused for 200
	receipt runbook.Receipt
	source  string // as stored
	err     error  // to log; nil for nothing

	batch        runbook.Batch // what was stored; only for Config.Received
	read, stored time.Time
}

func (a answer) outcome() string {
	switch {
	case a.code == http.StatusOK:
		return outcomeStored
	case a.code == http.StatusUnauthorized:
		return outcomeDenied
	case a.code < http.StatusInternalServerError:
		return outcomeRejected
	}
	return outcomeFailed
}

func (h *Handler) webhook(w http.ResponseWriter, r *http.Request, source string) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		writeText(w, http.StatusMethodNotAllowed, "POST alerts here, as Alertmanager, SigNoz and Grafana send them")
		return
	}
	start := time.Now()
	a := h.guarded(r, source, start) //nolint:contextcheck // the request carries it
	if a.err != nil {
		h.report(r, a)
	}
	h.metrics.observe(a.source, a, time.Since(start))
	a.write(w)
	if h.received != nil && len(a.batch.Alerts) > 0 {
		_ = http.NewResponseController(w).Flush() // the sender does not wait for what follows
		h.received(r.Context(), a.batch, start, a.read, a.stored)
	}
}

// guarded makes a panic our trouble, which the sender tries again, and not the
// end of the connection.
func (h *Handler) guarded(r *http.Request, source string, now time.Time) (a answer) {
	defer func() {
		if v := recover(); v != nil {
			h.log.ErrorContext(r.Context(), "panic in the intake", "err", fmt.Sprint(v), "stack", string(debug.Stack()))
			a = failed(source, nil)
		}
	}()
	return h.take(r, source, now)
}

// take reads, checks and stores one request.
func (h *Handler) take(r *http.Request, source string, now time.Time) answer {
	known := h.auth.open() || h.auth.hasToken(r)
	if !known && !h.auth.mayBeSigned(r) {
		return denied(errors.New("no valid token"))
	}
	b, err := h.buffers.receive(r)
	defer b.release()
	if err != nil {
		return refused(source, err)
	}
	if !known && !h.auth.signed(r, b.wire.Bytes(), now) {
		return denied(errors.New("wrong signature"))
	}
	if err := b.inflate(r); err != nil {
		return refused(source, err)
	}
	batch, err := Decode(b.text(), source, r.UserAgent(), now, h.normalizer)
	if err != nil {
		return refused(source, err)
	}
	return h.keep(r, batch)
}

// keep stores a batch. A sender that hangs up meanwhile does not undo it.
func (h *Handler) keep(r *http.Request, batch runbook.Batch) answer {
	if len(batch.Alerts) == 0 {
		return answer{code: http.StatusOK, source: batch.Source}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), putTimeout)
	defer cancel()
	read := time.Now()
	receipt, err := h.store.Put(ctx, batch)
	if err != nil {
		return failed(batch.Source, fmt.Errorf("store %d alerts: %w", len(batch.Alerts), err))
	}
	a := answer{code: http.StatusOK, receipt: receipt, source: batch.Source}
	if h.received != nil {
		a.batch, a.read, a.stored = batch, read, time.Now()
	}
	return a
}

// refused answers a body that cannot be taken.
func refused(source string, err error) answer {
	a := answer{code: http.StatusBadRequest, text: err.Error(), source: source, err: err}
	switch {
	case errors.Is(err, ErrTooLarge):
		a.code = http.StatusRequestEntityTooLarge
	case errors.Is(err, errEncoding):
		a.code, a.text = http.StatusUnsupportedMediaType, "send the body plain or with Content-Encoding: gzip"
	case errors.Is(err, errHeld):
		// A slow network may be ours; a 4xx would end the matter.
		a.code, a.text = http.StatusServiceUnavailable, "the body did not arrive in full, send it again"
	}
	return a
}

func denied(err error) answer {
	return answer{
		code: http.StatusUnauthorized, source: "unauthenticated", err: err,
		text: "not authorised: send the webhook token as Bearer or as the password of Basic, or sign the body",
	}
}

func failed(source string, err error) answer {
	return answer{code: http.StatusServiceUnavailable, text: "alerts not stored, send them again", source: source, err: err}
}

// report writes the one line that a failed request gets. Bodies and headers
// are not in it: they are written by others, and may hold secrets.
func (h *Handler) report(r *http.Request, a answer) {
	level := slog.LevelWarn
	if a.outcome() == outcomeFailed && !errors.Is(a.err, errHeld) {
		level = slog.LevelError
	}
	h.log.Log(r.Context(), level, "alerts not taken",
		"source", a.source, "code", a.code, "remote", r.RemoteAddr, "err", a.err)
}

func (a answer) write(w http.ResponseWriter) {
	switch a.code {
	case http.StatusOK:
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		line := append(make([]byte, 0, 64), `{"accepted":`...)
		line = strconv.AppendInt(line, int64(a.receipt.Accepted), 10)
		line = append(line, `,"duplicates":`...)
		line = strconv.AppendInt(line, int64(a.receipt.Duplicates), 10)
		line = append(line, "}\n"...)
		h["Content-Length"] = []string{strconv.Itoa(len(line))}
		_, _ = w.Write(line) // the sender is gone: it will repeat, and be a duplicate
		return
	case http.StatusUnauthorized:
		w.Header().Add("WWW-Authenticate", `Bearer realm="watchkeeper"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="watchkeeper"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusRequestEntityTooLarge:
		w.Header().Set("Connection", "close") // do not read the rest
	}
	writeText(w, a.code, a.text)
}

func writeText(w http.ResponseWriter, code int, text string) {
	http.Error(w, text, code) // plain text, nosniff
}

// sourceName makes a sender's name of what the path has: lower case, digits,
// - and _, at most 40 characters; "" if nothing is left.
func sourceName(path string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, strings.Trim(path, "/"))
	return cut(strings.Trim(name, "-"), maxSource)
}
