// Package session launches one Claude Code session in stream mode and keeps it
// alive.
//
// A [Command] says how the CLI is started: its arguments, its clean
// environment and the servers that it gets. A [Stream] is one process: text
// goes in, typed [Output] comes out, permission requests are answered by an
// [Approver], and every line is kept in a [Transcript]. The [Supervisor] keeps
// one Stream after another alive, and knows why the last one ended: crashed,
// logged out, out of quota, no such program; so that the caller can let
// another triage take over and hand back.
//
// The package does not know what an alert is. It reads no environment and
// writes only into the folder that it is given.
package session
