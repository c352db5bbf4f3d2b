package doctor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Secrets are the files that hold tokens, by the name of the variable that
// names each.
type Secrets map[string]string

// Examine looks whether others of this machine may read them. What is in them
// is looked at by whoever uses it.
func (s Secrets) Examine(context.Context) (found []Finding) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		info, err := os.Stat(s[name])
		switch {
		case err != nil:
			found = append(found, machine.wrong(name, "the file it names cannot be looked at", "name a file that this user may read"))
		case info.Mode().Perm()&0o007 != 0:
			found = append(found, machine.wrong(name, fmt.Sprintf("the file it names has mode %#o: everybody on this machine may use it", info.Mode().Perm()),
				"chmod o= on it; its group may be that of the service"))
		}
	}
	if len(found) == 0 && len(s) > 0 {
		found = append(found, machine.ok("secrets", "%d files, for no others", len(s)))
	}
	return found
}
