package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// locks is the folder of the lock files. A lock file is never removed: another
// process may hold the file that a name no longer leads to.
const locks = "locks"

// A Part is a piece of the service that runs in one process at a time.
type Part string

// The parts. Whoever holds the lock of a part hosts it.
const (
	Intake    Part = "intake"    // receives webhooks
	Link      Part = "link"      // holds the connection to Slack
	Escalator Part = "escalator" // nags
	Watchdog  Part = "watchdog"  // pages when nobody decides
	Pump      Part = "pump"      // pushes alerts into the session
	Talk      Part = "talk"      // pushes what people say into the session
	Session   Part = "session"   // keeps the Claude Code session
	Upkeep    Part = "upkeep"    // prunes the memory and watches its disk
	Traces    Part = "traces"    // exports traces, where that is configured
)

// Parts lists all parts, in the order in which people read them.
func Parts() []Part {
	return []Part{Intake, Link, Escalator, Watchdog, Pump, Talk, Session, Upkeep, Traces}
}

// ErrHeld means that another holder has the lock.
var ErrHeld = errors.New("held by another process")

// A Lock is held until Release, or until the process ends in any way: the
// kernel frees it then. Keep the Lock: one that nothing refers to is freed by
// the garbage collector.
type Lock struct{ file *flock.Flock }

// TryLock takes the lock of part, or returns [ErrHeld] at once if another
// process, or another Lock of this one, has it. A call of Holder at the same
// instant can make it miss a lock that is free; [Dir.Host] tries again.
func (d Dir) TryLock(part Part) (*Lock, error) {
	file := flock.New(d.lockFile(part), flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	taken, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", part, errors.Join(err, file.Close()))
	}
	if !taken {
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("lock %s: %w", part, err)
		}
		return nil, ErrHeld
	}
	who := fmt.Sprintf("%d %s\n", os.Getpid(), filepath.Base(os.Args[0]))
	// On a full disk the lock is held all the same, only nobody sees by whom.
	_ = os.WriteFile(file.Path(), []byte(who), 0o600)
	return &Lock{file}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error {
	if err := errors.Join(os.Truncate(l.file.Path(), 0), l.file.Close()); err != nil {
		return fmt.Errorf("release %s: %w", filepath.Base(l.file.Path()), err)
	}
	return nil
}

// A Holder is the process that holds a lock.
type Holder struct {
	PID     int    // 0 if it has not signed the lock: just taken, or the disk is full
	Program string // its file name, without the directory
}

// Holder returns who holds the lock of part, and false if nobody does. It asks
// the kernel: what a dead process left in the file does not count.
func (d Dir) Holder(part Part) (Holder, bool) {
	path := d.lockFile(part)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false
	}
	file := flock.New(path, flock.SetFlag(os.O_RDONLY))
	defer file.Close()
	if free, err := file.TryRLock(); err != nil || free {
		return Holder{}, false
	}
	pid, program, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return Holder{}, true
	}
	return Holder{PID: n, Program: program}, true
}

func (d Dir) lockFile(part Part) string { return d.Path(locks, string(part)) }
