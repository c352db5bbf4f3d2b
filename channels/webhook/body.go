package webhook

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	pooledBuffer = 256 << 10 // a larger buffer is not kept
	largeBody    = 1 << 20   // a body above it needs one of the places
	largePlaces  = 4         // large bodies in memory at a time
)

// A gate bounds the memory that bodies need: small ones pass, of the large
// ones only a few at a time. Without it fifty senders could ask for a
// gigabyte.
type gate chan struct{}

// buffers lends the memory for bodies.
type buffers struct {
	pool  sync.Pool // of *bytes.Buffer
	large gate
}

func newBuffers() *buffers {
	return &buffers{
		pool:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
		large: make(gate, largePlaces),
	}
}

func (b *buffers) take() *bytes.Buffer {
	return b.pool.Get().(*bytes.Buffer) // the pool holds nothing else
}

func (b *buffers) put(buf *bytes.Buffer) {
	if buf.Cap() <= pooledBuffer {
		buf.Reset()
		b.pool.Put(buf)
	}
}

// errEncoding means that the sender used a compression that we do not read.
var errEncoding = errors.New("unsupported Content-Encoding")

// errHeld means that reading failed on the way: the sender should try again.
var errHeld = errors.New("body not received")

// A request body as it came, and what it says. Both are valid until release.
type body struct {
	wire  *bytes.Buffer
	plain *bytes.Buffer // of a compressed body; else nil
	from  *buffers
	large bool // holds a place
}

// text is the body to decode.
func (b *body) text() []byte {
	if b.plain != nil {
		return b.plain.Bytes()
	}
	return b.wire.Bytes()
}

func (b *body) release() {
	b.from.put(b.wire)
	if b.plain != nil {
		b.from.put(b.plain)
	}
	if b.large {
		<-b.from.large
	}
}

// receive reads the body of r as it came over the wire, at most MaxBody of it.
func (b *buffers) receive(r *http.Request) (*body, error) {
	got := &body{wire: b.take(), from: b}
	if r.ContentLength > MaxBody {
		return got, tooLong("body")
	}
	if n := r.ContentLength; n > 0 && n <= largeBody {
		got.wire.Grow(int(n) + bytes.MinRead)
	}
	if err := got.fill(r, got.wire, r.Body, "body"); err != nil {
		if errors.Is(err, ErrTooLarge) {
			return got, err
		}
		return got, fmt.Errorf("%w: %w", errHeld, err)
	}
	return got, nil
}

// inflate reads a compressed body. Everything else is as it came.
func (b *body) inflate(r *http.Request) error {
	switch strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))) {
	case "", "identity":
		return nil
	case "gzip", "x-gzip":
	default:
		return errEncoding
	}
	zip, err := gzip.NewReader(b.wire)
	if err != nil {
		return fmt.Errorf("the body is not gzip, though Content-Encoding says so: %w", err)
	}
	b.plain = b.from.take()
	if err := b.fill(r, b.plain, zip, "inflated body"); err != nil {
		if errors.Is(err, ErrTooLarge) {
			return err
		}
		return fmt.Errorf("inflate the body: %w", err)
	}
	return nil
}

// fill copies from into to, and takes a place when it grows large.
func (b *body) fill(r *http.Request, to *bytes.Buffer, from io.Reader, what string) error {
	n, err := io.Copy(to, io.LimitReader(from, largeBody))
	if err != nil || n < largeBody {
		return err
	}
	if !b.large {
		select {
		case b.from.large <- struct{}{}:
			b.large = true
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	n, err = io.Copy(to, io.LimitReader(from, MaxBody-largeBody+1))
	if err == nil && n > MaxBody-largeBody {
		return tooLong(what)
	}
	return err
}

func tooLong(what string) error {
	return fmt.Errorf("%w: %s over %d MiB; send fewer alerts at a time (Alertmanager: max_alerts)", ErrTooLarge, what, MaxBody>>20)
}
