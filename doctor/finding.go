package doctor

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Level says how much a finding matters.
type Level string

// The levels. Only a Wrong one must be mended before going on duty.
const (
	OK     Level = "ok"
	Advice Level = "advice"
	Wrong  Level = "wrong"
)

// A Finding is one thing that was looked at.
type Finding struct {
	Where  string `json:"where"` // "machine", "memory", "gitlab", the name of a cluster, …
	What   string `json:"what"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`        // one line: what was seen
	Fix    string `json:"fix,omitempty"` // one line: what to do; "" if OK
}

// within is how long one examination may take. The slowest reads every page of
// the memory.
const within = time.Minute

// Run runs examinations at once and returns what they found, in their order.
func Run(ctx context.Context, examinations ...func(context.Context) []Finding) []Finding {
	found := make([][]Finding, len(examinations))
	var g errgroup.Group
	for i, examine := range examinations {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			found[i] = examine(ctx)
			return nil
		})
	}
	_ = g.Wait() // nothing above returns an error: it is a finding
	var all []Finding
	for _, f := range found {
		all = append(all, f...)
	}
	return all
}

// A place makes findings that belong to it.
type place string

func (p place) ok(what, format string, args ...any) Finding {
	return Finding{Where: string(p), What: what, Level: OK, Detail: fmt.Sprintf(format, args...)}
}

func (p place) advice(what, detail, fix string) Finding {
	return Finding{Where: string(p), What: what, Level: Advice, Detail: detail, Fix: fix}
}

func (p place) wrong(what, detail, fix string) Finding {
	return Finding{Where: string(p), What: what, Level: Wrong, Detail: detail, Fix: fix}
}
