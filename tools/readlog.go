package tools

import (
	"bufio"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Bounds of one container's log.
const (
	maxLogBytes  = 2 << 20
	maxLineBytes = 8 << 10 // of what is kept of a line; the rest is skipped
)

// A logSource is one container's log and how much of it to read.
type logSource struct {
	namespace, pod, container string
	previous                  bool
	tail                      int64 // lines; > 0
	since                     time.Duration
	grep                      *regexp.Regexp // nil keeps every line
}

// A logLine is a printable line, at most maxLineBytes long.
type logLine struct {
	pod, container string
	at             time.Time // zero if the runtime gave none
	text           string
	order          int
	cut            int // bytes that were left out at the end
}

// errLogCut says that the newest lines are missing: the runtime stops at the
// limit of bytes, which it counts from the oldest line.
var errLogCut = errors.New("log is larger than 2 MiB for that many lines; the newest lines are missing, ask for a smaller tail")

// readLog hands the lines of a source to use, oldest first.
func (cl *clients) readLog(ctx context.Context, src logSource, use func(logLine)) error {
	limit, seconds := int64(maxLogBytes), int64(src.since.Seconds())
	stream, err := cl.kube.CoreV1().Pods(src.namespace).GetLogs(src.pod, &corev1.PodLogOptions{
		Container: src.container, Previous: src.previous, Timestamps: true,
		TailLines: &src.tail, LimitBytes: &limit, SinceSeconds: &seconds,
	}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	counted := &countingReader{r: stream}
	in := bufio.NewReaderSize(counted, 64<<10)
	for order := 0; ; order++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if line.text != "" && (src.grep == nil || src.grep.MatchString(line.text)) {
			line.pod, line.container, line.order = src.pod, src.container, order
			use(line)
		}
		if err != nil {
			if counted.n >= maxLogBytes {
				return errLogCut
			}
			return nil
		}
	}
}

// readLine reads one line of any length and keeps its head.
func readLine(in *bufio.Reader) (logLine, error) {
	var text []byte
	cut := 0
	for {
		part, prefix, err := in.ReadLine()
		if err != nil {
			return parseLine(string(text), cut), err
		}
		room := min(maxLineBytes-len(text), len(part))
		text = append(text, part[:room]...)
		cut += len(part) - room
		if !prefix {
			return parseLine(string(text), cut), nil
		}
	}
}

// parseLine splits off the runtime's time stamp.
func parseLine(s string, cut int) logLine {
	stamp, rest, _ := strings.Cut(s, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		at, rest = time.Time{}, s
	}
	return logLine{at: at, text: strings.TrimRight(printable(rest), " "), cut: cut}
}

type countingReader struct {
	r io.Reader
	n int
}

// Read implements [io.Reader].
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}
