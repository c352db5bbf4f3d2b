package tools

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// Shares of the text of a look, in tokens.
const (
	lookTokens     = 3000
	lookKube       = 1300
	lookChanges    = 450
	lookTraffic    = 450
	lookGaps       = 300
	changesShown   = 6
	changeExplains = time.Hour // how long before the start a change counts as a cause
)

// settle orders what the sources wrote in the order in which they answered.
func (l *Look) settle() {
	if p := l.Problems; p != nil {
		l.add("images", imageChanges(*p, *l)...)
	}
	byNewest(l.Changes, func(c Change) time.Time { return c.At })
	slices.Sort(l.changesKnown)
	slices.Sort(l.Answered)
	slices.Sort(l.Gaps)
	slices.Sort(l.Unasked)
	slices.Sort(l.Nodes)
}

// imageChanges are the changes that the cluster itself tells.
func imageChanges(p Problems, l Look) []Change {
	var list []Change
	add := func(owner string, c *ImageChange) {
		if c == nil || !recent(c.At, l) || slices.ContainsFunc(list, func(o Change) bool { return o.At.Equal(c.At) }) {
			return
		}
		list = append(list, Change{
			c.At.UTC(), "image", oneLine(strings.ReplaceAll(c.After, " ", ""), 120),
			fmt.Sprintf("%s runs %s instead of %s", owner, c.After, c.Before), "",
		})
	}
	for _, problem := range p.Problems {
		add(problem.Owner(), problem.Image)
	}
	if p.Health.Found() {
		add(p.Health.Workloads[0], p.Health.Image)
	}
	return list
}

// Hints are the conclusions that the evidence allows, in own words: they hold
// names, but no sentence that somebody else wrote.
func (l Look) Hints() []string {
	var hints []string
	if found := l.Inferred(); found != "" {
		hints = append(hints, found)
	}
	hints = slices.Concat(hints, l.stateHints(), l.Causes())
	if l.History != nil {
		hints = append(hints, "History: "+oneLine(l.History.Line(), 300))
	}
	return hints
}

// Causes are the hints at what may be behind it: the last change, traffic,
// Argo CD, nodes and volumes.
func (l Look) Causes() []string {
	return slices.Concat(l.changeHints(), l.trafficHints(), l.placeHints())
}

// stateHints say whether it goes on, and how far it reaches.
func (l Look) stateHints() []string {
	var hints []string
	if l.Status == runbook.Resolved && !l.Ended.IsZero() {
		hints = append(hints, fmt.Sprintf("The alert resolved after %s, %s.", runbook.Short(l.Ended.Sub(l.Began)), ago(l.At, l.Ended)))
	}
	p := l.Problems
	switch {
	case p == nil:
	case p.Service != "" && !p.Health.Found():
		hints = append(hints, "No workload has this name in the cluster: nothing is known about its pods.")
	case p.Healthy():
		hints = append(hints, l.healthyHint(*p.Health))
	case len(p.Problems) > 0:
		hints = append(hints, brokenHint(*p))
	default:
		hints = append(hints, "Nothing is wrong with the pods that were looked at.")
	}
	return hints
}

// healthyHint tells a recovery from a service that never had a problem.
func (l Look) healthyHint(h Health) string {
	ready := fmt.Sprintf("all %s ready since %s", plural(h.Pods, "pod"), ago(l.At, h.Since))
	switch {
	case h.Since.After(l.Began.Add(-aroundBefore)):
		return "Recovered: " + ready + ", which is after it began."
	case h.Last != nil && h.Last.ExitCode != 0 && h.Last.At.After(l.Began.Add(-comparedWith)):
		return fmt.Sprintf("Recovered: %s; a container ended %s with %s.", ready, ago(l.At, h.Last.At), *h.Last)
	}
	return "Its pods are not the cause: " + ready + ", without a restart since before it began."
}

func brokenHint(p Problems) string {
	worst := p.Problems[0]
	s := fmt.Sprintf("Broken now: %s, %s", worst.Owner(), worst.Reason)
	switch n := len(worst.Affected); {
	case worst.Total > 1 && n > 0 && n < worst.Total:
		s += fmt.Sprintf(", %d of %d pods: not all", n, worst.Total)
	case worst.Total > 0 && n >= worst.Total:
		s += fmt.Sprintf(", all %s", plural(worst.Total, "pod"))
	case worst.Total > 0:
		s += fmt.Sprintf(", %d of %d pods ready", worst.Ready, worst.Total)
	}
	if !worst.Since.IsZero() {
		s += ", since " + ago(p.At, worst.Since)
	}
	if rest := len(p.Problems) - 1; rest > 0 {
		s += fmt.Sprintf("; %d more below", rest)
	}
	return s + "."
}

// changeHints name what was changed last before it began. What runs explains
// more than what was merged.
func (l Look) changeHints() []string {
	var before []Change
	for _, c := range l.Changes {
		if d := l.Began.Sub(c.At); d >= -time.Minute && d <= changeExplains {
			before = append(before, c)
		}
	}
	if len(before) == 0 {
		if len(l.changesKnown) == 0 {
			return nil
		}
		return []string{fmt.Sprintf("No change in the hour before it began (asked: %s).", strings.Join(l.changesKnown, ", "))}
	}
	slices.SortStableFunc(before, func(a, b Change) int { return cmp.Compare(weight(a), weight(b)) })
	c := before[0]
	hint := fmt.Sprintf("Began %s after %s %s", runbook.Short(max(l.Began.Sub(c.At), 0)), kinds[c.Kind], c.Name)
	if n := len(before) - 1; n > 0 {
		hint += fmt.Sprintf("; %d more in that hour", n)
	}
	return []string{hint + "."}
}

var kinds = map[string]string{"image": "the image changed to", "argocd": "Argo CD deployed", "deployment": "GitLab deployed", "merge": "the merge of"}

func weight(c Change) int {
	return slices.Index([]string{"image", "argocd", "deployment", "merge"}, c.Kind)
}

// Traffic is said to be worse beyond these factors.
const (
	fewRequests = 20
	worseErrors = 0.01 // more of all requests, at least
	worseP99    = 1.5
)

// trafficHints compare error rate and latency with the hour before.
func (l Look) trafficHints() []string {
	if l.now == nil || l.now.spans == 0 {
		return nil
	}
	n, h := *l.now, *l.hour
	if n.requests < fewRequests {
		return []string{fmt.Sprintf("Only %s requests around the start: rates mean little.", amount(n.requests))}
	}
	var worse []string
	rate, was := n.errors/n.requests, h.errors/max(h.requests, 1)
	if rate-was >= worseErrors && rate >= 2*was {
		worse = append(worse, fmt.Sprintf("%s of requests fail, against %s in the hour before", percent(n.errors, n.requests), percent(h.errors, h.requests)))
	}
	if h.requests > 0 && n.p99 > worseP99*h.p99 {
		worse = append(worse, fmt.Sprintf("p99 %s, against %s in the hour before", nanos(n.p99), nanos(h.p99)))
	}
	switch {
	case h.requests == 0:
		return []string{"There were no requests in the hour before to compare with."}
	case len(worse) == 0:
		return []string{fmt.Sprintf("Error rate (%s) and p99 (%s) are no worse than in the hour before.", percent(n.errors, n.requests), nanos(n.p99))}
	}
	return []string{"Worse: " + strings.Join(worse, "; ") + "."}
}

// placeHints tell of applications, nodes and volumes.
func (l Look) placeHints() []string {
	var hints []string
	if n := len(l.ailingApps); n > 0 {
		hints = append(hints, fmt.Sprintf("In Argo CD %s.", strings.Join(l.ailingApps[:min(n, 3)], ", ")))
	}
	if n := len(l.Nodes); n > 0 {
		hints = append(hints, fmt.Sprintf("%s in this cluster: see below.", plural(n, "ailing node")))
	}
	if len(l.volumes) > 0 && l.volumes[0].used >= fullVolume {
		hints = append(hints, fmt.Sprintf("The volume %s is %.0f %% full.", l.volumes[0].claim, 100*l.volumes[0].used))
	}
	return hints
}

// String renders the look for the session, in at most 3,000 tokens.
func (l Look) String() string {
	out := newPage(lookTokens)
	out.left -= lookGaps * bytesPerToken
	out.say("%s", l.headline())
	for _, h := range l.Hints() {
		out.say("- %s", brackets.Replace(h))
	}
	l.section(out, "Changes, newest first (UTC):", lookChanges, l.writeChanges)
	if l.Problems != nil {
		l.section(out, "Kubernetes:", lookKube, l.writeKube)
	}
	l.section(out, "SigNoz, "+l.windowsOfSpan.String()+":", lookTraffic, l.writeTraffic)
	l.section(out, "Argo CD:", lookChanges, func(out *page) { quoteEach(out, l.apps) })
	l.section(out, "Volumes:", lookGaps, l.writeVolumes)
	if l.History != nil && len(l.History.Recent) > 0 {
		l.section(out, "Before:", lookGaps, func(out *page) { writePast(out, l.History.Recent, 2) })
	}
	out.left += lookGaps * bytesPerToken
	l.writeGaps(out)
	out.say("More: %s.", l.more())
	return out.String()
}

// section writes a part within its share. A part without a line has no title.
func (l Look) section(out *page, title string, tokens int, write func(*page)) {
	part := &page{left: min(out.left, tokens*bytesPerToken)}
	write(part)
	text := part.String()
	if text == "" {
		return
	}
	out.say("%s", brackets.Replace(title))
	out.add(text)
}

func quoteEach(out *page, lines []string) {
	for _, line := range lines {
		if !out.quote(line) {
			return
		}
	}
}

func (l Look) headline() string {
	s := "First look"
	if l.Delivery != 0 {
		s += " at " + l.Delivery.String()
	}
	if l.Alert != "" {
		s += ", " + fmt.Sprintf("%q", oneLine(l.Alert, 160))
	}
	if l.Service != "" {
		s += " on " + oneLine(l.Service, 120)
	}
	if l.Namespace != "" {
		s += ", namespace " + oneLine(l.Namespace, 63)
	}
	s += fmt.Sprintf(", cluster %s (%s)", oneLine(orElse(l.where(), "unknown"), 120), orUnknown(l.Env))
	if l.Status != "" {
		s += fmt.Sprintf(", %s, %s", l.Severity, l.Status)
	}
	return brackets.Replace(fmt.Sprintf("%s: began %s (%s), now %s.", s, stamp(l.Began), ago(l.At, l.Began), stamp(l.At)))
}

// writeChanges shows the changes nearest to the start.
func (l Look) writeChanges(out *page) {
	near := slices.Clone(l.Changes)
	slices.SortStableFunc(near, func(a, b Change) int { return cmp.Compare(a.At.Sub(l.Began).Abs(), b.At.Sub(l.Began).Abs()) })
	near = near[:min(len(near), changesShown)]
	byNewest(near, func(c Change) time.Time { return c.At })
	for _, c := range near {
		line := fmt.Sprintf("%s, %s: %s", stamp(c.At), relative(c.At, l.Began), c.Text)
		if c.See != "" {
			line += " → " + c.See
		}
		if !out.quote(line) {
			break
		}
	}
	if n := len(l.Changes) - len(near); n > 0 {
		out.quote(fmt.Sprintf("%d more in the day before", n))
	}
}

// writeKube is the explanation of kube_problems, in less room.
func (l Look) writeKube(out *page) {
	p := *l.Problems
	p.writeHealth(out)
	shown := p.writeProblems(out)
	p.writeRest(out, shown)
	p.writeWarnings(out)
	quoteEach(out, l.Nodes[:min(len(l.Nodes), 4)])
	if len(p.Gaps) > 0 {
		out.quote("not known: " + strings.Join(p.Gaps[:min(len(p.Gaps), 4)], "; "))
	}
}

func (l Look) writeTraffic(out *page) {
	if l.now == nil {
		return
	}
	if l.now.spans+l.hour.spans == 0 {
		out.quote("no spans of this service, neither now nor in the hour before")
		return
	}
	if l.allClusters {
		out.quote("of all clusters: no span names this one")
	}
	out.quote("around the start: "+l.now.line(), "the hour before: "+l.hour.line())
	if codes := l.now.codeText(); codes != "" {
		out.quote("status codes: " + codes)
	}
	for _, o := range l.now.operations[:min(len(l.now.operations), 3)] {
		out.quote(o.line())
	}
	writeSpans(out, "Latest failing spans", l.failing)
}

// writeVolumes shows the fullest volumes.
func (l Look) writeVolumes(out *page) {
	for i, v := range l.volumes {
		if i == 3 || (i > 0 && v.used < fullVolume) {
			return
		}
		out.quote(fmt.Sprintf("%s: %.0f %% full, %sB free", v.claim, 100*v.used, amount(v.free)))
	}
}

// writeGaps tells what is not known. It has room of its own.
func (l Look) writeGaps(out *page) {
	if len(l.Gaps)+len(l.Unasked) == 0 {
		return
	}
	out.say("Not known:")
	quoteEach(out, slices.Concat(l.Gaps, l.Unasked))
}

// more names the calls that show details, with their arguments.
func (l Look) more() string {
	var calls []string
	if p := l.Problems; p != nil && p.Health.Found() {
		_, rest, _ := strings.Cut(p.Health.Workloads[0], " ")
		ns, name, _ := strings.Cut(rest, "/")
		calls = append(calls, fmt.Sprintf("kube_logs(cluster: %s, namespace: %s, name: %s)", p.Cluster, ns, name))
	} else if p != nil {
		calls = append(calls, fmt.Sprintf("kube_problems(cluster: %s)", p.Cluster))
	}
	subject := "service: " + oneLine(l.Service, 80)
	if l.Delivery != 0 {
		subject = "delivery: " + l.Delivery.String()
	}
	if l.now != nil {
		calls = append(calls, "signoz_traces("+subject+")", "signoz_logs("+subject+")")
	}
	if slices.Contains(l.changesKnown, "merges") {
		calls = append(calls, "gitlab_recent_merges("+subject+")")
	}
	if l.Delivery != 0 {
		calls = append(calls, "incident_history("+subject+")")
	}
	return brackets.Replace(orElse(strings.Join(calls, ", "), "kube_problems"))
}
