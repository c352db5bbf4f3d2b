// Package state owns the state directory: where the memory and everything
// else that lasts is kept, and the locks that say which process hosts which
// part of the service.
//
// It does not open the memory; that is [watchkeeper/runbook/sqlite].
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Dir is a state directory. It must be on a local disk: neither the locks
// nor the memory are safe on a network file system. The zero Dir is none.
type Dir struct{ path string }

// Open returns the state directory at path, which it creates for this user
// alone if it does not exist. The mode of a directory that exists is left as
// it is.
func Open(path string) (Dir, error) {
	if path == "" {
		return Dir{}, errors.New("open state directory: no path given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Dir{}, fmt.Errorf("open state directory %s: %w", path, err)
	}
	d := Dir{abs}
	if err := os.MkdirAll(d.Path(locks), 0o700); err != nil {
		return Dir{}, fmt.Errorf("open state directory %s: %w", abs, err)
	}
	return d, nil
}

// At returns the state directory at path without creating anything, for those
// who only look: it may not be there.
func At(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Dir{}, fmt.Errorf("look at state directory %s: %w", path, err)
	}
	return Dir{abs}, nil
}

// Database returns the absolute path of the memory.
func (d Dir) Database() string { return d.Path("watchkeeper.db") }

// Path returns the absolute path of what is called name inside d. It creates
// nothing.
func (d Dir) Path(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// String returns the absolute path of d.
func (d Dir) String() string { return d.path }
