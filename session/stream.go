package session

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Errors of Send that callers act on.
var (
	// ErrGone means that the process has ended or is being ended.
	ErrGone = errors.New("the session is gone")
	// ErrNotReading means that the CLI does not read its input. What was sent
	// may have arrived in part, so the process is ended.
	ErrNotReading = errors.New("the session does not read its input")
)

const (
	// sendWithin bounds one Send. The CLI reads its input also while the model
	// works, and a pipe holds 64 KiB, so a second is long already.
	sendWithin = 5 * time.Second
	// maxLine bounds a line of the CLI; a tool result may be large.
	maxLine = 64 << 20
	// Stopping: how long the CLI has after its stdin was closed, after SIGINT,
	// and its servers after it is gone, before they are killed; and how long it
	// takes a killed one to be gone.
	closeGrace  = 2 * time.Second
	signalGrace = 3 * time.Second
	serverGrace = time.Second
	killGrace   = 200 * time.Millisecond
)

// Options are what a [Stream] needs besides the command.
type Options struct {
	Approver   Approver         // nil is [DenyAll]
	Observe    func(o Output)   // called in order, by one goroutine; must not block; may be nil
	Transcript *Transcript      // nil keeps none
	Log        *slog.Logger     // required
	Now        func() time.Time // nil is [time.Now]; for the transcript
}

// A Stream is one process of the CLI. Its methods are safe for concurrent use.
type Stream struct {
	cmd      *exec.Cmd
	approver Approver
	observe  func(Output)
	script   *Transcript
	log      *slog.Logger
	now      func() time.Time

	stdin          *os.File
	stdout, stderr *os.File
	writing        sync.Mutex // one line at a time
	controls       controls
	gone           chan struct{} // closed when no more input is taken
	leaving        sync.Once
	why            error // set before gone is closed; nil if it was asked for
	noise          *tail // the last lines of stderr
}

// Start starts the process. The caller must call [Stream.Run], which waits for
// it; until then its output is not read.
func Start(c Command, o Options) (*Stream, error) {
	s := &Stream{
		cmd:      exec.Command(c.Path, c.Args()...), //nolint:noctx // stop ends it in order; a context would kill it
		approver: o.Approver, observe: o.Observe,
		script: o.Transcript, log: o.Log, now: o.Now, gone: make(chan struct{}), noise: &tail{},
	}
	s.controls.asked = map[string]chan reply{}
	s.controls.serving = map[string]context.CancelFunc{}
	if s.approver == nil {
		s.approver = DenyAll{}
	}
	if s.observe == nil {
		s.observe = func(Output) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.cmd.Dir, s.cmd.Env = c.Dir, c.Env
	// A group of its own: Ctrl-C in our terminal must not reach the CLI before
	// we end it in order, and what it leaves behind can be found and ended.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return s, nil
}

// start makes the pipes by hand: only an [os.File] has the write deadline that
// keeps Send from blocking on a CLI that does not read.
func (s *Stream) start() error {
	var files []*os.File
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err == nil {
			files = append(files, r, w)
		}
		return r, w, err
	}
	inR, inW, err1 := pipe()
	outR, outW, err2 := pipe()
	errR, errW, err3 := pipe()
	err := errors.Join(err1, err2, err3)
	if err == nil {
		s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = inR, outW, errW
		err = s.cmd.Start()
	}
	if err != nil {
		for _, f := range files {
			f.Close() //nolint:errcheck // the first error matters
		}
		return err
	}
	for _, f := range []*os.File{inR, outW, errW} {
		f.Close() //nolint:errcheck // the child has its own
	}
	s.stdin, s.stdout, s.stderr = inW, outR, errR
	return nil
}

// leave takes no more input, because of why.
func (s *Stream) leave(why error) {
	s.leaving.Do(func() {
		s.why = why
		close(s.gone)
	})
}

// Mode implements [Process].
func (s *Stream) Mode() string { return "stream" }

// PID returns the process's number, which is also that of its group.
func (s *Stream) PID() int { return s.cmd.Process.Pid }

// Stderr returns the last lines that the CLI wrote to stderr.
func (s *Stream) Stderr() string { return s.noise.String() }

// Send hands text to the session as a message of the user; the model reads it
// now, or with the next tool result if it is at work. Send never waits longer
// than five seconds. A nil error means that the CLI has it, or the pipe does.
func (s *Stream) Send(ctx context.Context, text string) error {
	return s.send(ctx, map[string]any{"type": "user", "message": map[string]any{
		"role":    "user",
		"content": []any{map[string]any{"type": "text", "text": text}},
	}})
}

func (s *Stream) send(ctx context.Context, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	select {
	case <-s.gone:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	deadline := time.Now().Add(sendWithin)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := s.stdin.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err := s.stdin.Write(append(b, '\n')); err != nil {
		// Half a line may be in the pipe, so nothing can follow it.
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ErrNotReading
		} else {
			err = fmt.Errorf("%w: %w", ErrGone, err)
		}
		s.leave(err)
		return err
	}
	s.keep(ctx, "in", b)
	return nil
}

// Run reads what the CLI says until it ends, and ends it in order when ctx is
// done or its input is stuck. It returns how the process ended: nil for status
// 0 or an end that was asked for. When it returns, nothing is left of the
// process or of the servers that it started.
func (s *Stream) Run(ctx context.Context) error {
	var readers sync.WaitGroup
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	readers.Go(func() { s.read(serving) })
	readers.Go(func() { s.drain(serving) })
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }() // ends with the process, which stop sees to

	var err error
	select {
	case err = <-ended:
		s.leave(ErrGone)
	case <-ctx.Done():
		s.leave(nil)
		s.stop(ended) //nolint:errcheck // this end was asked for
	case <-s.gone:
		err = errors.Join(s.why, s.stop(ended))
	}
	cancel()
	s.sweep()
	// Whoever escaped the group may hold the other end still.
	s.stdout.SetReadDeadline(time.Now().Add(serverGrace)) //nolint:errcheck // it may be closed
	s.stderr.SetReadDeadline(time.Now().Add(serverGrace)) //nolint:errcheck // it may be closed
	readers.Wait()
	s.controls.working.Wait()
	s.stdin.Close() //nolint:errcheck // the reader is gone
	return err
}

// stop ends the process: it closes stdin, which lets the CLI end its servers,
// then asks by signal, then kills the group.
func (s *Stream) stop(ended <-chan error) error {
	s.stdin.Close() //nolint:errcheck // closing is the message
	if ok, err := within(ended, closeGrace); ok {
		return err
	}
	s.cmd.Process.Signal(syscall.SIGINT) //nolint:errcheck // it may just have ended
	if ok, err := within(ended, signalGrace); ok {
		return err
	}
	s.signalGroup(syscall.SIGKILL) //nolint:errcheck // it may just have ended
	return <-ended
}

// within waits for the end at most d; false if it did not come.
func within(ended <-chan error, d time.Duration) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-ended:
		return true, err
	case <-timer.C:
		return false, nil
	}
}

// sweep waits for the servers that the CLI started, which end when their stdin
// does, and kills what is left.
func (s *Stream) sweep() {
	gone := func() bool { return s.signalGroup(0) != nil }
	awaitEnd(gone, serverGrace)
	s.signalGroup(syscall.SIGKILL) //nolint:errcheck // it may just have ended
	awaitEnd(gone, killGrace)
}

func (s *Stream) signalGroup(sig syscall.Signal) error { return syscall.Kill(-s.PID(), sig) }

// read hands every line of stdout to those who wait for it.
func (s *Stream) read(ctx context.Context) {
	defer s.stdout.Close()
	in := bufio.NewScanner(s.stdout)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	for in.Scan() {
		if len(in.Bytes()) == 0 {
			continue
		}
		s.line(ctx, in.Bytes())
	}
	if err := in.Err(); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "output of the session cannot be read, ending it", "err", err)
		s.leave(fmt.Errorf("read the session's output: %w", err))
		io.Copy(io.Discard, s.stdout) //nolint:errcheck // only so that the process can end
	}
}

func (s *Stream) line(ctx context.Context, text []byte) {
	s.keep(ctx, "out", text)
	l, outputs, err := parse(text)
	if err != nil {
		s.log.WarnContext(ctx, "line of the session not understood", "err", err)
		return
	}
	switch l.Type {
	case "control_request":
		s.serve(ctx, l.RequestID, l.Request)
	case "control_response":
		s.answered(l.Response)
	case "control_cancel_request":
		s.withdraw(l.RequestID)
	}
	for _, o := range outputs {
		s.observe(o)
	}
}

func (s *Stream) keep(ctx context.Context, dir string, text []byte) {
	if err := s.script.write(s.now(), dir, text); err != nil {
		s.log.ErrorContext(ctx, "transcript is incomplete", "err", err)
	}
}

// drain passes stderr to the log, within bounds.
func (s *Stream) drain(ctx context.Context) {
	defer s.stderr.Close()
	in := bufio.NewReaderSize(s.stderr, 2048)
	for {
		text, more, err := in.ReadLine()
		if err != nil {
			return
		}
		if s.noise.add(string(text)) {
			s.log.InfoContext(ctx, "session says", "stderr", string(text))
		}
		for more && err == nil { // the rest of an overlong line
			_, more, err = in.ReadLine()
		}
	}
}
