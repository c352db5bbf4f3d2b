// Package channels turns what the memory owes into events that the session
// reads, and keeps at it until somebody claims them.
//
// The [Pump] takes deliveries from the memory, renders them and hands them to
// a [Sink]: an MCP notification, the stdin of a stream-json session, or the
// responder. A push proves nothing, because Claude Code acknowledges none; so
// a delivery stays owed until a tool call names it. Everything in an event
// that came from outside is data: it is escaped, bounded and prefixed, so that
// it cannot close the tag it is quoted in or pass for one of our own lines.
package channels
