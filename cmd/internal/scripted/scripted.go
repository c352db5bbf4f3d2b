// Package scripted runs the script tests of the servers: those in testdata
// here, which hold for each of them, and those of the server's own.
//
// The scripts see $PROGRAM, the name of the server; $LISTEN, an address that
// nobody uses; and $WATCHKEEPER_STATE, a state directory that does not exist
// yet. Beside the usual commands there are:
//
//	config FILE   replace $NAME in FILE by the variables of the script
//	converse FILE send the requests in FILE, a line each, wait for their answers
//	              and end the program in order; with ! it must fail by itself.
//	              Its output is then in the files answers and log
//	occupy        listen on $LISTEN until the script ends
//	newer         make a memory that a later version has written
package scripted

import (
	"context"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"watchkeeper/runbook/sqlite"
)

// common are the scripts that every server passes, seen from its directory.
const common = "../internal/scripted/testdata"

// Run runs the scripts of the server program, which the caller's TestMain has
// made a command. update rewrites what they compare with.
func Run(t *testing.T, program string, update bool) {
	t.Helper()
	for _, dir := range []string{common, "testdata"} {
		testscript.Run(t, testscript.Params{
			Dir: dir, UpdateScripts: update,
			Setup: func(env *testscript.Env) error { return setUp(env, program) },
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"config": config, "converse": converse, "occupy": occupy, "newer": newer,
			},
		})
	}
}

func setUp(env *testscript.Env, program string) error {
	ln, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("PROGRAM", program)
	env.Setenv("LISTEN", ln.Addr().String())
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("WATCHKEEPER_STATE", filepath.Join(env.WorkDir, "var"))
	return ln.Close()
}

func listen(addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
}

func config(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: config FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: occupy")
	}
	ln, err := listen(ts.Getenv("LISTEN"))
	ts.Check(err)
	ts.Defer(func() { ln.Close() }) //nolint:errcheck // the test is over
}

func newer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: newer")
	}
	dir := ts.Getenv("WATCHKEEPER_STATE")
	ts.Check(os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, "watchkeeper.db")
	store, err := sqlite.Open(context.Background(), path)
	ts.Check(err)
	ts.Check(store.Close())
	db, err := sql.Open("sqlite3", path)
	ts.Check(err)
	defer db.Close()
	_, err = db.ExecContext(context.Background(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	ts.Check(err)
}
