package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"watchkeeper/upkeep"
)

// A Machine is where the state directory is.
type Machine struct{ State string }

const machine = place("machine")

// StateDirectory is what the finding about it is called.
const StateDirectory = "state directory"

// Examine looks at the state directory, its file system and its disk.
func (m Machine) Examine(context.Context) []Finding {
	found := []Finding{m.directory()}
	here := existing(m.State)
	return append(found, fileSystem(here), disk(here))
}

// existing is path, or the nearest folder above it that is there.
func existing(path string) string {
	for {
		_, err := os.Stat(path)
		if up := filepath.Dir(path); err != nil && up != path {
			path = up
			continue
		}
		return path
	}
}

func (m Machine) directory() Finding {
	const what = StateDirectory
	info, err := os.Stat(m.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return machine.ok(what, "%s is not there yet; up makes it", m.State)
	case err != nil:
		return machine.wrong(what, err.Error(), "run as the user that is on duty, or set --state")
	case !info.IsDir():
		return machine.wrong(what, m.State+" is no folder", "name another one with --state or WATCHKEEPER_STATE")
	}
	owner := int(info.Sys().(*syscall.Stat_t).Uid) //nolint:forcetypeassert // what os.Stat gives on every system we run on
	switch mode := info.Mode().Perm(); {
	case owner != os.Getuid():
		return machine.wrong(what, fmt.Sprintf("%s belongs to %s, and you are %s", m.State, name(owner), name(os.Getuid())),
			"run it as that user: sudo -u "+name(owner)+" watchkeeper doctor")
	case mode&0o077 != 0:
		return machine.wrong(what, fmt.Sprintf("%s has mode %#o: others may read alerts and messages", m.State, mode), "chmod 700 "+m.State)
	case mode&0o700 != 0o700:
		return machine.wrong(what, fmt.Sprintf("%s has mode %#o: we may not write there", m.State, mode), "chmod 700 "+m.State)
	}
	return machine.ok(what, "%s, for %s alone", m.State, name(owner))
}

// name of a user, or the number of one without.
func name(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

func disk(path string) Finding {
	const what, fix = "disk", `make room: docs/operations.md, "The disk fills up"`
	free, err := upkeep.Free(path)
	if err != nil {
		return machine.wrong(what, err.Error(), "look at the disk: df -h "+path)
	}
	detail := upkeep.Bytes(free) + " free on that of " + path
	switch {
	case free < upkeep.Scarce:
		return machine.wrong(what, detail, fix)
	case free < upkeep.Low:
		return machine.advice(what, detail, fix)
	}
	return machine.ok(what, "%s", detail)
}
