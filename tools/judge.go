package tools

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Lengths of foreign text in a result, in characters.
const (
	messageLimit = 280
	logLineLimit = 320
)

// judge turns what was gathered into problems, worst first.
func (s *survey) judge() {
	s.out.Cluster, s.out.Env = s.cluster.Name, orUnknown(s.cluster.Env)
	s.out.Namespace, s.out.Service, s.out.At = s.query.Namespace, s.query.Service, s.now
	s.out.Gaps = s.gaps
	if s.query.Service != "" {
		exact := s.keepService()
		s.out.Health = s.health()
		s.out.Health.Exact = exact
	}
	found := map[owner]*Problem{}
	for _, f := range s.facts {
		if f.reason != "" && !s.jobKnows(f) {
			s.merge(found, f)
		}
	}
	s.judgeWorkloads(found)
	s.judgeJobs(found)
	s.judgeNodes(found)
	for _, c := range s.claims {
		o := owner{"PersistentVolumeClaim", c.namespace, c.name}
		found[o] = newProblem(o, "Claim"+orElse(c.phase, "Pending"), "", c.since)
	}
	s.attachEvents(found)
	for o, p := range found {
		s.finish(o, p)
		s.out.Problems = append(s.out.Problems, *p)
	}
	slices.SortFunc(s.out.Problems, worstFirst)
	s.findRecovered(found)
}

// keepService drops everything but the best matches of the service, and
// reports whether they match exactly.
func (s *survey) keepService() bool {
	best := 0
	for _, f := range s.facts {
		best = max(best, f.match)
	}
	s.facts = slices.DeleteFunc(s.facts, func(f podFact) bool { return f.match < best })
	mine := map[owner]bool{}
	for _, f := range s.facts {
		mine[f.owner] = true
	}
	for o := range s.workloads {
		if !mine[o] && (best == 2 || matchName(o.name, "", s.query.Service) == 0) && o.name != s.query.Service {
			delete(s.workloads, o)
		}
	}
	for o := range s.jobs {
		if !mine[o] && o.name != s.query.Service {
			delete(s.jobs, o)
		}
	}
	nodes := map[string]bool{}
	for _, f := range s.facts {
		nodes[f.node] = true
	}
	s.nodes = slices.DeleteFunc(s.nodes, func(n nodeFact) bool { return !nodes[n.name] })
	for key := range s.events {
		if !mine[key.owner] && key.owner.name != s.query.Service {
			delete(s.events, key)
		}
	}
	named := func(o owner) bool { return o.name == s.query.Service }
	return best == 2 || slices.ContainsFunc(slices.Collect(maps.Keys(s.workloads)), named) ||
		slices.ContainsFunc(slices.Collect(maps.Keys(s.jobs)), named)
}

// health sums up the pods of the service asked for.
func (s *survey) health() *Health {
	h := &Health{}
	seen := map[owner]bool{}
	for _, f := range s.facts {
		seen[f.owner] = true
		h.Last = later(h.Last, f.last)
		h.Restarts += int(f.restarts)
		if f.readySince.After(h.Since) {
			h.Since = f.readySince
		}
	}
	for o := range seen {
		if c := s.counts[o]; c != nil {
			h.Pods, h.Ready = h.Pods+c.total, h.Ready+c.ready
		}
	}
	for o := range s.workloads {
		seen[o] = true
	}
	for o := range s.jobs {
		seen[o] = true
	}
	for o := range seen {
		h.Workloads = append(h.Workloads, o.String())
	}
	slices.Sort(h.Workloads)
	if h.Ready < h.Pods || h.Pods == 0 {
		h.Since = time.Time{}
	}
	if !h.Found() {
		h.Nearest = s.nearest()
	}
	return h
}

// nearest lists owners whose names resemble the service.
func (s *survey) nearest() []string {
	stem, _, _ := strings.Cut(s.query.Service, "-")
	var names []string
	for o := range s.counts {
		if strings.Contains(o.name, stem) || strings.Contains(s.query.Service, o.name) {
			names = append(names, o.namespace+"/"+o.name)
		}
	}
	slices.Sort(names)
	return names[:min(len(names), 8)]
}

func newProblem(o owner, reason, message string, since time.Time) *Problem {
	return &Problem{Kind: o.kind, Namespace: o.namespace, Name: o.name, Reason: oneLine(reason, 60), Message: oneLine(message, messageLimit), Since: since}
}

// merge adds a pod to the problem of its owner. The worst reason leads; the
// others become notes.
func (s *survey) merge(found map[owner]*Problem, f podFact) {
	p := found[f.owner]
	switch {
	case p == nil:
		p = newProblem(f.owner, f.reason, f.message, f.since)
		p.container = f.container
		found[f.owner] = p
	case severity(f.reason) > severity(p.Reason):
		p.Notes = append(p.Notes, "also "+p.Reason)
		p.Reason, p.Message, p.container = oneLine(f.reason, 60), oneLine(f.message, messageLimit), f.container
	case f.reason != p.Reason:
		p.Notes = append(p.Notes, "also "+oneLine(f.reason, 60))
	}
	p.Affected = append(p.Affected, f.pod)
	p.Restarts += int(f.restarts)
	p.Last = later(p.Last, f.last)
	if f.since.Before(p.Since) {
		p.Since = f.since
	}
}

// jobKnows reports whether the Job that f belongs to has finished: its failure
// is reported once, as the Job's, and a success makes it history.
func (s *survey) jobKnows(f podFact) bool {
	if f.kind != "Job" || severity(f.reason) != severity("Failed") {
		return false
	}
	for _, j := range s.jobs {
		if j.job == f.name {
			return true
		}
	}
	return false
}

func (s *survey) judgeWorkloads(found map[owner]*Problem) {
	for o, w := range s.workloads {
		switch p := found[o]; {
		case w.reason == "":
		case p != nil && w.reason == "Unavailable":
		case p != nil:
			p.Notes = append(p.Notes, fmt.Sprintf("%s since %s: %s", w.reason, ago(s.now, w.since), oneLine(w.message, messageLimit)))
		case s.now.Sub(w.since) > notReadyTooLong:
			found[o] = newProblem(o, w.reason, w.message, w.since)
		}
		if p := found[o]; p != nil {
			p.Total = w.desired
		}
	}
}

func (s *survey) judgeJobs(found map[owner]*Problem) {
	for o, j := range s.jobs {
		if !j.failed || s.now.Sub(j.finished) > failedTooOld {
			continue
		}
		p := newProblem(o, "JobFailed", j.message, j.finished)
		for _, f := range s.facts {
			if f.kind == "Job" && f.name == j.job && f.reason != "" {
				p.Affected = append(p.Affected, f.pod)
				p.Last, p.Restarts = later(p.Last, f.last), p.Restarts+int(f.restarts)
			}
		}
		if j.job != o.name {
			p.Notes = append(p.Notes, "latest job "+j.job)
		}
		found[o] = p
	}
}

func (s *survey) judgeNodes(found map[owner]*Problem) {
	for _, n := range s.nodes {
		o := owner{"Node", "", n.name}
		if p := found[o]; p != nil {
			p.Notes = append(p.Notes, "also "+n.reason)
			continue
		}
		found[o] = newProblem(o, n.reason, n.message, n.since)
	}
}

// attachEvents gives each problem its events; the rest are warnings.
func (s *survey) attachEvents(found map[owner]*Problem) {
	for _, g := range s.events.sorted() {
		o := owner{g.Kind, g.Namespace, g.Name}
		p := found[o]
		switch {
		case p == nil && s.now.Sub(g.Last) < warningsWithin:
			s.out.Warnings = append(s.out.Warnings, g)
		case p == nil:
		default:
			p.Events = append(p.Events, g)
			// A back-off began before the last flap of readiness did.
			if g.Reason == "BackOff" && g.First.Before(p.Since) {
				p.Since = g.First
			}
		}
	}
}

// finish fills in what needs the whole picture.
func (s *survey) finish(o owner, p *Problem) {
	slices.Sort(p.Affected)
	slices.Sort(p.Notes)
	p.Notes = slices.Compact(p.Notes)
	if c := s.counts[o]; c != nil {
		p.Ready, p.Total = c.ready, max(c.total, p.Total)
	}
	p.rank = severity(p.Reason)
	if p.Ready == 0 && p.Total > 0 && severity(p.Reason) >= severity("NotReady") {
		p.rank += 15 // nothing serves
	}
}

// findRecovered lists what ended badly and came back.
func (s *survey) findRecovered(found map[owner]*Problem) {
	for _, f := range s.facts {
		if f.ready && f.reason == "" && found[f.owner] == nil && f.last != nil && f.last.ExitCode != 0 && s.now.Sub(f.last.At) < recoveredWithin {
			s.out.Recovered = append(s.out.Recovered, *f.last)
		}
	}
	slices.SortFunc(s.out.Recovered, func(a, b Termination) int { return b.At.Compare(a.At) })
}
