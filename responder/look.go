package responder

import (
	"context"
	"fmt"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// A Query says where to look. Only Cluster is always there; with neither
// Service nor Namespace the whole cluster is looked at.
type Query struct{ Cluster, Namespace, Service string }

// A Looker takes the first look at what an alert is about. An error means that
// nothing could be seen; it is told to a person, who reads why.
type Looker interface {
	Look(ctx context.Context, q Query) (Look, error)
}

// A Look is what was seen. Its text is for people: cleaned, bounded and
// without secrets.
type Look struct {
	Checked string   // what was looked at, as "pods, events and logs of cart in platform-prod"
	Short   string   // the worst of it in a line, the reason before the first comma; "" if nothing is wrong
	Found   []string // worst first, at most some ten lines
	Health  Health
}

// Health is what a Look knows about the one service that it was asked for. The
// zero Health knows nothing.
type Health struct {
	Healthy  bool      // exists by exactly this name, every pod is ready, and nothing is wrong with it
	Wrong    bool      // exists, and something is wrong with it
	Since    time.Time // every pod is ready since then; zero if not
	Restarts int       // of all its pods
	EndedAt  time.Time // when a container of it ended last; zero if none is known to
	Ended    string    // how, as "exit 137 (OOMKilled)"
}

// Pods looks at pods, events and logs of the configured clusters.
type Pods struct{ Clusters *tools.Clusters }

// Look implements [Looker].
func (p Pods) Look(ctx context.Context, q Query) (Look, error) {
	c, err := p.Clusters.Get(q.Cluster)
	if err != nil {
		return Look{}, err
	}
	seen, err := c.Problems(ctx, tools.ProblemsQuery{Namespace: q.Namespace, Service: q.Service})
	if err != nil {
		return Look{}, err
	}
	look := Look{Checked: "pods, events and logs of " + scope(seen), Health: health(seen)}
	look.describe(seen)
	return look, nil
}

// scope reads "cart in platform-prod", "namespace shop in platform-prod" or
// "platform-prod".
func scope(p tools.Problems) string {
	switch {
	case p.Service != "":
		return p.Service + " in " + p.Cluster
	case p.Namespace != "":
		return "namespace " + p.Namespace + " in " + p.Cluster
	}
	return p.Cluster
}

func health(p tools.Problems) Health {
	h := p.Health
	if !h.Found() {
		return Health{}
	}
	out := Health{Healthy: p.Healthy(), Wrong: len(p.Problems) > 0, Since: h.Since, Restarts: h.Restarts}
	if h.Last != nil {
		out.EndedAt, out.Ended = h.Last.At, h.Last.String()
	}
	return out
}

// How much a person is told of: so many problems, and the last lines of a log.
const (
	problemsTold = 3
	logTold      = 2
)

// describe fills in the text.
func (l *Look) describe(p tools.Problems) {
	for i, problem := range p.Problems[:min(len(p.Problems), problemsTold)] {
		line := state(problem, p.At)
		if i == 0 {
			l.Short = line
		}
		l.Found = append(l.Found, problem.Owner()+": "+line)
		if i == 0 && p.Service != "" { // of a whole cluster, the list says more
			l.Found = append(l.Found, closer(problem, p.At)...)
		}
	}
	if n := len(p.Problems) - problemsTold; n > 0 {
		l.Found = append(l.Found, fmt.Sprintf("and %d more", n))
	}
	if len(p.Problems) == 0 {
		l.Found = append(l.Found, calm(p))
	}
	if len(p.Gaps) > 0 {
		l.Found = append(l.Found, "not known: "+strings.Join(p.Gaps, "; "))
	}
}

// state reads "CrashLoopBackOff, 1 of 3 pods ready, 14 restarts, for 12 min".
func state(p tools.Problem, now time.Time) string {
	parts := []string{p.Reason}
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d pods ready", p.Ready, p.Total))
	}
	if p.Last != nil {
		parts = append(parts, p.Last.String())
	}
	if p.Restarts > 0 {
		parts = append(parts, count(p.Restarts, "restart"))
	}
	if !p.Since.IsZero() {
		parts = append(parts, "for "+age(p.Since, now))
	}
	return strings.Join(parts, ", ")
}

// closer tells what may explain a problem: a release, and what it logged.
func closer(p tools.Problem, now time.Time) []string {
	var lines []string
	if p.Image != nil {
		lines = append(lines, fmt.Sprintf("image changed %s ago: %s → %s", age(p.Image.At, now),
			base(p.Image.Before), base(p.Image.After)))
	}
	if p.Message != "" && len(p.Log) == 0 {
		lines = append(lines, p.Message)
	}
	for _, l := range p.Log[max(len(p.Log)-logTold, 0):] {
		lines = append(lines, "log: "+l)
	}
	return lines
}

// base is the name and tag of an image, without registry and folders.
func base(image string) string { return image[strings.LastIndexByte(image, '/')+1:] }

// calm tells that nothing is wrong, or that the service is not there.
func calm(p tools.Problems) string {
	h := p.Health
	switch {
	case p.Service == "":
		return fmt.Sprintf("nothing is wrong: %d of %d pods ready", p.Ready, p.Pods)
	case !h.Found() && len(h.Nearest) > 0:
		return "no workload has this name; similar: " + strings.Join(h.Nearest, ", ")
	case !h.Found():
		return "no workload has this name"
	}
	line := fmt.Sprintf("%s: %d of %d pods ready", strings.Join(h.Workloads, ", "), h.Ready, h.Pods)
	if !h.Since.IsZero() {
		line += " for " + age(h.Since, p.At)
	}
	if h.Last != nil && h.Last.ExitCode != 0 {
		line += fmt.Sprintf("; ended before with %s, %s", h.Last, count(h.Restarts, "restart"))
	}
	if !h.Exact {
		line += "; no workload has exactly this name"
	}
	if n := len(h.LogErrors); n > 0 {
		line += "; its log has errors, such as: " + h.LogErrors[n-1]
	}
	return line
}

// age is the time from t to now, for people: to the minute, except for what
// has just happened.
func age(t, now time.Time) string {
	d := max(now.Sub(t), 0)
	if d >= time.Minute {
		d = d.Round(time.Minute)
	}
	return runbook.Short(d)
}

// count reads "1 restart" or "3 restarts".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
