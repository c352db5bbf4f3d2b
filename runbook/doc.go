// Package runbook holds the words of the service: Alert, Delivery, Incident,
// Verdict, Escalation, History, Briefing, Policy and Playbook, and the rules
// that need nothing but these values.
//
// It does no I/O, reads no clock and starts no goroutine; a rule that depends
// on the time takes now as an argument. The memory that keeps these values is
// in [watchkeeper/runbook/sqlite].
package runbook

import "errors"

// Errors that callers branch on. The memory makes them from the driver's
// result codes.
var (
	// ErrNotFound means that no row has the identifier that was given.
	ErrNotFound = errors.New("not found")
	// ErrDecided means that the delivery already has its verdict.
	ErrDecided = errors.New("already decided")
	// ErrClosed means that the escalation is resolved and stays so.
	ErrClosed = errors.New("already resolved")
)
