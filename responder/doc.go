// Package responder is triage without a model: who is on duty while no session
// can be, because there is no CLI, no login or no quota.
//
// It is a sink of the pump, like a session, and works by rules that anybody can
// read in judge.go. An alert is noise only if the operator called it that
// beforehand, or if it provably recovered. Everything else is real as long as
// nobody has looked, and goes to a person with the evidence. It never changes
// anything in a cluster, and every text of it says that no model was involved.
//
// What it does is in the memory before it counts as done: an escalation has the
// key of its delivery, and a verdict is given once. So it may be killed between
// any two lines; the next one begins anew and finds what was done.
package responder
