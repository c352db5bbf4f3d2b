package sqlite

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
)

// small are the tables that do not grow with what happens.
var small = []string{
	"beats",            // one row for each part, sender and cluster; those are bounded
	"proposals",        // one for each alert and service, with what people decided
	"slack_notes",      // one for each conversation
	"goose_db_version", // one for each migration
	"sqlite_sequence",
}

func TestEveryTableGrowsOldOrStaysSmall(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tables, err := collect(t.Context(), s.read, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) },
		`SELECT name FROM sqlite_schema WHERE type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		swept := slices.ContainsFunc(sweeps(), func(w sweeping) bool { return w.table == name && w.erase == "" })
		if swept == slices.Contains(small, name) {
			t.Errorf("table %s: swept is %t; want it in sweeps (prune.go), or here with the reason why it stays small", name, swept)
		}
	}
}
