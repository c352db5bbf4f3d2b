// Package session launches one Claude Code session and keeps it alive.
//
// A [Command] says how the CLI is started: its arguments, its clean
// environment and the servers that it gets. A [Stream] is one process in stream
// mode: text goes in, typed [Output] comes out, permission requests are answered
// by an [Approver], and every line is kept in a [Transcript]. A [Terminal] is
// one in channels mode: interactive, in tmux, fed by the servers themselves. A
// [Choice] takes channels if they can be had, else the stream. The
// [Supervisor] keeps one process after another alive, and knows why the last
// one ended: crashed, logged out, out of quota, no such program; so that the
// caller can let another triage take over and hand back.
//
// The package does not know what an alert is. It reads no environment and
// writes only into the folder that it is given.
package session
