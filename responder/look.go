package responder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// A Looker takes the first look at what a delivery is about; alerts are those
// of it, worst first. It does not fail: what could not be seen is told.
type Looker interface {
	Look(ctx context.Context, d runbook.Delivery, alerts []runbook.Occurrence) Look
}

// A Look is what was seen. Its text is for people: cleaned, bounded and
// without secrets.
type Look struct {
	Checked string   // what was looked at, as "pods, events and logs of cart in platform-prod; GitLab"; "" for nothing
	Unseen  string   // why the pods could not be looked at; "" if they were
	Short   string   // the worst of it in a line, the reason before the first comma; "" if nothing is wrong
	Found   []string // worst first, at most some fifteen lines
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

// FirstLook is the first look of the session, told to people.
type FirstLook struct{ Tools *tools.FirstLook }

// Look implements [Looker].
func (f FirstLook) Look(ctx context.Context, d runbook.Delivery, alerts []runbook.Occurrence) Look {
	seen := f.Tools.LookAt(ctx, d, alerts)
	look := Look{Checked: checked(seen)}
	if p := seen.Problems; p != nil {
		look.Health = health(*p)
		if found := seen.Inferred(); found != "" {
			look.Health.Healthy = false // that it is well somewhere proves nothing
			look.Found = append(look.Found, found)
		}
		look.describe(*p)
	} else {
		look.Unseen = unseen(seen)
	}
	look.explain(seen)
	return look
}

// sources are those beyond the cluster, as people call them and by how the
// names in [tools.Look] begin.
var sources = []string{"Argo CD", "GitLab", "SigNoz"}

// checked names what answered.
func checked(l tools.Look) string {
	var parts []string
	if l.Problems != nil {
		parts = append(parts, "pods, events and logs of "+scope(*l.Problems))
	}
	for _, s := range sources {
		if slices.ContainsFunc(l.Answered, func(a string) bool { return strings.HasPrefix(a, s) }) {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "; ")
}

// inCluster are the sources that one API server answers, the pods first.
var inCluster = []string{"the cluster", "the nodes", "Argo CD"}

// unseen tells why there are no pods.
func unseen(l tools.Look) string {
	for _, gap := range l.Gaps {
		if rest, ok := strings.CutPrefix(gap, inCluster[0]); ok {
			return strings.TrimLeft(rest, ": ")
		}
	}
	return "the cluster told nothing"
}

// told reports whether gap only repeats why there are no pods.
func (l *Look) told(gap string) bool {
	return l.Unseen != "" && strings.HasSuffix(gap, l.Unseen) &&
		slices.ContainsFunc(inCluster, func(source string) bool { return strings.HasPrefix(gap, source) })
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

// How much a person is told of: so many problems, the last lines of a log, and
// changes before it began.
const (
	problemsTold = 3
	logTold      = 2
	changesTold  = 3
	changeTold   = time.Hour // before it began, at most
)

// toldBy says who tells of a change. An image is told with its pods.
var toldBy = map[string]string{"argocd": "Argo CD", "deployment": "GitLab", "merge": "GitLab"}

// explain adds what may be behind it, and what could not be asked.
func (l *Look) explain(seen tools.Look) {
	l.Found = append(l.Found, seen.Causes()...)
	n := 0
	for _, c := range seen.Changes {
		before := seen.Began.Sub(c.At)
		if toldBy[c.Kind] == "" || before < 0 || before > changeTold || n == changesTold {
			continue
		}
		n++
		l.Found = append(l.Found, fmt.Sprintf("%s before it began, %s: %s", runbook.Short(before.Round(time.Minute)), toldBy[c.Kind], c.Text))
	}
	gaps := slices.DeleteFunc(slices.Clone(seen.Gaps), l.told)
	if len(gaps) > 0 {
		l.Found = append(l.Found, "not known: "+strings.Join(gaps, "; "))
	}
}

// describe tells what is wrong with the pods, or that nothing is.
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
