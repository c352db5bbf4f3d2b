// Package watch watches the watcher: it notices what no session would, because
// there is none, or because it is the session that is missing, and tells people
// through the outbox.
//
// A [Check] says what is wrong now. The [Watchdog] compares that with what the
// memory holds open: what is new is told once, as an escalation, and what is
// over is said once in its thread. All times are in the memory, so that a
// restart neither forgets nor tells twice. Two ways out need no memory: a [Cry],
// and the [Pulse] for a monitor outside.
//
// Events that nobody decides are paged by [watchkeeper/channels.Watchdog].
package watch
