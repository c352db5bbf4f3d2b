package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A Transcript keeps every line that went in and out of the CLI, one JSON
// object a line: {"t": time, "dir": "in" or "out", "line": the line}. When the
// file has grown to its bound it is renamed to NAME.1, that one to NAME.2, and
// so on; the oldest is dropped. It is safe for concurrent use, and so is a nil
// Transcript, which keeps nothing.
type Transcript struct {
	path  string
	limit int64
	keep  int

	mu   sync.Mutex
	file *os.File
	size int64
}

// OpenTranscript opens the file at path, and its folder if need be, both
// readable by nobody else. limit is in bytes; keep is the number of older files.
func OpenTranscript(path string, limit int64, keep int) (*Transcript, error) {
	t := &Transcript{path: path, limit: limit, keep: keep}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open transcript: %w", err)
	}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("open transcript: %w", err)
	}
	return t, nil
}

func (t *Transcript) open() error {
	f, err := os.OpenFile(t.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close() //nolint:errcheck // nothing was written
		return err
	}
	t.file, t.size = f, info.Size()
	return nil
}

// write adds a line. A line that is no JSON is kept as a string.
func (t *Transcript) write(now time.Time, dir string, text []byte) error {
	if t == nil {
		return nil
	}
	entry := struct {
		T    time.Time `json:"t"`
		Dir  string    `json:"dir"`
		Line any       `json:"line"`
	}{now.UTC(), dir, string(text)}
	if json.Valid(text) {
		entry.Line = json.RawMessage(text)
	}
	b, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("write transcript: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return fmt.Errorf("write transcript: %w", os.ErrClosed)
	}
	if t.size > 0 && t.size+int64(len(b)) > t.limit {
		if err := t.rotate(); err != nil {
			return fmt.Errorf("rotate transcript: %w", err)
		}
	}
	n, err := t.file.Write(append(b, '\n'))
	t.size += int64(n)
	if err != nil {
		return fmt.Errorf("write transcript: %w", err)
	}
	return nil
}

func (t *Transcript) rotate() error {
	name := func(i int) string { return fmt.Sprintf("%s.%d", t.path, i) }
	err := t.file.Close()
	for i := t.keep - 1; i >= 1; i-- {
		if e := os.Rename(name(i), name(i+1)); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if t.keep > 0 {
		err = errors.Join(err, os.Rename(t.path, name(1)))
	} else {
		err = errors.Join(err, os.Remove(t.path))
	}
	return errors.Join(err, t.open())
}

// Close closes the file.
func (t *Transcript) Close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}
