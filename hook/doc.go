// Package hook answers what Claude Code asks before a tool runs, when a
// sub-agent starts and when it stops or fails: the walls of the session that hold
// whatever its settings say, the bounds of a sub-agent, and the form of its
// report.
//
// The client asks by a command with JSON on its standard input, and goes on
// when that command is missing, slow or broken. So the command that the
// settings name ends with "|| exit 2", which the client takes for a no. Walls
// fail closed in this way; bounds fail open, since a full disk must not end an
// investigation.
//
// It knows no store and no server: what a sub-agent has used is in a small file
// for each session of the client, see [Book].
package hook
