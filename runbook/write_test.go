package runbook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"watchkeeper/runbook"
)

func TestOneActForADeliveryThatIsHeldToIt(t *testing.T) {
	now := time.Date(2026, 4, 18, 12, 0, 0, 0, time.UTC)
	limits := runbook.WriteLimits{PerHour: 10, PerTargetPerHour: 10}
	past := []runbook.PastWrite{{ID: 3, Action: "delete_stuck_pod", Target: "b", Delivery: 42, At: now.Add(-10 * time.Minute), Outcome: runbook.WriteFailed}}
	tests := []struct {
		name    string
		write   runbook.Write
		earlier int64
	}{
		{"the same delivery, whatever the target", runbook.Write{Target: "a", Delivery: 42, Once: true}, 3},
		{"another delivery", runbook.Write{Target: "b", Delivery: 43, Once: true}, 0},
		{"one that is not held to it", runbook.Write{Target: "b", Delivery: 42}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := limits.Allow(tt.write, past, now)
			var denied *runbook.WriteDenied
			switch errors.As(err, &denied); {
			case tt.earlier == 0 && err != nil:
				t.Errorf("Allow = %v, want nil", err)
			case tt.earlier != 0 && (denied == nil || denied.Earlier != tt.earlier || !strings.Contains(err.Error(), "delete_stuck_pod of b was done for d42 at 11:50:00Z")):
				t.Errorf("Allow = %v, want a denial that names the earlier write", err)
			}
		})
	}
}

func TestWritesAreAllowedWithinTheirLimits(t *testing.T) {
	now := time.Date(2026, 4, 18, 12, 0, 0, 0, time.UTC)
	limits := runbook.WriteLimits{PerHour: 4, PerTargetPerHour: 2}
	past := func(ago time.Duration, target string, o runbook.Outcome) runbook.PastWrite {
		p := runbook.PastWrite{ID: int64(ago), Action: "restart_deployment", Target: target, At: now.Add(-ago), Outcome: o}
		if o != "" {
			p.EndedAt = p.At.Add(10 * time.Second)
		}
		return p
	}
	const ok, failed, unknown = runbook.WriteOK, runbook.WriteFailed, runbook.WriteUnknown
	m := time.Minute
	tests := []struct {
		name   string
		limits runbook.WriteLimits
		past   []runbook.PastWrite
		want   string // "" is allowed
	}{
		{"the first", limits, nil, ""},
		{"one of the same target an hour ago does not count", limits, []runbook.PastWrite{past(60*m, "a", ok), past(10*m, "a", ok)}, ""},
		{"two of the same target in the hour", limits, []runbook.PastWrite{past(59*m, "a", ok), past(10*m, "a", ok)}, "2 writes in an hour are allowed for a, and that many were made; not before 12:01:00Z"},
		{"four of all targets in the hour", limits, []runbook.PastWrite{past(40*m, "b", ok), past(30*m, "c", ok), past(20*m, "d", ok), past(10*m, "e", ok)}, "4 writes in an hour are allowed for all clusters together, and that many were made; not before 12:20:00Z"},
		{"none are allowed at all", runbook.WriteLimits{}, nil, "the operator allows no writes"},
		{"none for a target", runbook.WriteLimits{PerHour: 1}, nil, "the operator allows no writes"},
		{"the same target is under way", limits, []runbook.PastWrite{past(m, "a", "")}, "restart_deployment of a is under way since 11:59:00Z"},
		{"another target is under way", limits, []runbook.PastWrite{past(m, "b", "")}, ""},
		{"whoever ran it has died", limits, []runbook.PastWrite{past(4*m, "a", "")}, ""},
		{"three failures in a row", limits, []runbook.PastWrite{past(90*m, "b", failed), past(80*m, "c", failed), past(20*m, "d", failed)}, "the last 3 writes failed, so all writes are stopped; not before 12:10:10Z"},
		{"the order of the rows does not matter", limits, []runbook.PastWrite{past(20*m, "d", failed), past(90*m, "b", failed), past(80*m, "c", failed)}, "not before 12:10:10Z"},
		{"what nobody saw through does not count, nor hide failures", limits, []runbook.PastWrite{past(90*m, "b", failed), past(80*m, "c", failed), past(25*m, "d", failed), past(20*m, "e", unknown)}, "not before 12:05:10Z"},
		{"a success between failures", limits, []runbook.PastWrite{past(90*m, "b", failed), past(80*m, "c", ok), past(70*m, "d", failed), past(20*m, "d", failed)}, ""},
		{"after the pause one may try again", limits, []runbook.PastWrite{past(90*m, "b", failed), past(80*m, "c", failed), past(40*m, "d", failed)}, ""},
		{"and if that fails it opens again", limits, []runbook.PastWrite{past(90*m, "b", failed), past(80*m, "c", failed), past(70*m, "d", failed), past(m, "d", failed)}, "not before 12:29:10Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.limits.Allow(runbook.Write{Action: "restart_deployment", Target: "a"}, tt.past, now)
			var denied *runbook.WriteDenied
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Allow = %v, want nil", err)
			case tt.want != "" && (!errors.As(err, &denied) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Allow = %v, want a denial with %q", err, tt.want)
			}
		})
	}
}
