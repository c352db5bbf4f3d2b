package demo

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fatih/color"

	"watchkeeper/responder"
	"watchkeeper/runbook"
)

const (
	width  = 100 // columns
	indent = 4
	label  = 11 // columns of a word before its text
)

// A printer writes the timeline. It is for one goroutine.
type printer struct {
	out                                   io.Writer
	n                                     int // scenes so far
	bold, faint, red, yellow, green, blue func(a ...any) string
}

func newPrinter(out io.Writer, colors bool) *printer {
	paint := func(attributes ...color.Attribute) func(...any) string {
		c := color.New(attributes...)
		c.DisableColor()
		if colors {
			c.EnableColor()
		}
		return c.SprintFunc()
	}
	return &printer{
		out: out, bold: paint(color.Bold), faint: paint(color.Faint), red: paint(color.FgRed, color.Bold),
		yellow: paint(color.FgYellow), green: paint(color.FgGreen, color.Bold), blue: paint(color.FgBlue, color.Bold),
	}
}

// line writes one line. A reader that has gone does not stop the demo: Ctrl-C
// and --exit do.
func (p *printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format+"\n", args...) }

// intro says what runs.
func (p *printer) intro(h *house) {
	p.line("%s", p.bold("Watchkeeper demo")+": no configuration, no Claude, no Slack, no cluster of yours.")
	p.line("")
	where := h.url() + "/webhook"
	if h.moved {
		where += "  (port 8788 is taken, so this is a free one)"
	}
	p.field("intake", where)
	p.field("clusters", "platform-prod and platform-dev, bundled samples behind a read-only API")
	kept := "a week of made-up incidents in a temporary folder, removed at the end"
	if h.o.State != "" {
		kept = "a week of made-up incidents in " + h.dir.String()
	}
	p.field("memory", kept)
	p.field("on duty", "the responder: triage by fixed rules, without a model. With Claude Code, a session takes its place.")
}

// scene begins a block.
func (p *printer) scene(title string) {
	p.n++
	p.line("")
	p.line("%s %s", p.blue(fmt.Sprintf("%2d ", p.n)), p.bold(title))
}

// report tells what became of an event.
func (p *printer) report(r responder.Report) {
	p.field("event", event(r))
	switch r.Delivery.Kind {
	case runbook.EventStorm:
	case runbook.EventResolved:
		p.field("history", began(r))
	default:
		p.field("history", r.History.Line())
	}
	switch {
	case r.Checked != "":
		p.field("looked at", append([]string{r.Checked}, r.Found...)...)
	case r.Unseen != "":
		p.field("looked at", "nothing: "+r.Unseen)
	}
	switch r.Verdict {
	case "":
		p.field("verdict", "none needed: recorded, and nobody is disturbed")
	case runbook.Noise:
		p.painted("verdict", p.green("NOISE"), r.Why)
	default:
		p.painted("verdict", p.red("REAL "), r.Why)
	}
	if e := r.Escalation; e != nil {
		p.painted("escalated", p.yellow(fmt.Sprintf("%-5s", fmt.Sprintf("#%d", e.ID))), "to the person on call"+nagging(*e))
	}
}

// event reads "SigNoz: High Latency on openaire-test, warning, platform-prod".
func event(r responder.Report) string {
	d := r.Delivery
	if d.Kind == runbook.EventStorm {
		return fmt.Sprintf("%d alerts at once, made one event, %s, %s", d.Alerts, d.Severity, d.Cluster)
	}
	s := d.Alert
	if d.Service != "" {
		s += " on " + d.Service
	}
	if len(r.Alerts) > 0 {
		s = r.Alerts[0].Source + ": " + s
	}
	if d.Alerts > 1 {
		s += fmt.Sprintf(" (%d alerts)", d.Alerts)
	}
	return strings.Join([]string{s, string(d.Severity), cmp.Or(d.Cluster, "no cluster"), string(d.Status)}, ", ")
}

// began tells how what has ended now was judged when it began.
func began(r responder.Report) string {
	if len(r.History.Recent) == 0 {
		return "nothing is known of its beginning"
	}
	p := r.History.Recent[0]
	line := "it was " + cmp.Or(string(p.Verdict), "undecided")
	if p.Lasted > 0 {
		line += " for " + runbook.Short(p.Lasted.Round(time.Minute))
	}
	if p.Escalated {
		line += ", and a person took it"
	}
	return strings.TrimSuffix(line+": "+p.Summary, ": ")
}

func nagging(e runbook.Escalation) string {
	if runbook.Nags(e.Severity, e.Env) {
		return ", and again every " + runbook.Short(runbook.NagEvery) + " until acknowledged"
	}
	return ", once"
}

// message shows what a person reads.
func (p *printer) message(e *runbook.Escalation) {
	if e == nil {
		return
	}
	p.line("")
	p.line("%s", p.bold(fmt.Sprintf("What the person on call reads, escalation #%d:", e.ID)))
	p.line("")
	for l := range strings.SplitSeq(e.Text(), "\n") {
		hang := 2 + len(l) - len(strings.TrimLeft(l, " "))
		for i, part := range wrap(l, width-indent-2-hang) {
			if i > 0 {
				part = strings.Repeat(" ", hang) + part
			}
			p.line("%s%s %s", strings.Repeat(" ", indent), p.yellow("│"), part)
		}
	}
}

// briefing shows the page that a session starts with.
func (p *printer) briefing(page string) {
	p.line("")
	p.line("%s", p.bold("What a fresh session is told every morning at 04:00:"))
	p.line("")
	for l := range strings.SplitSeq(strings.TrimRight(page, "\n"), "\n") {
		p.line("%s%s %s", strings.Repeat(" ", indent), p.faint("│"), l)
	}
}

// invite prints a command that works.
func (p *printer) invite(url string) {
	p.line("")
	p.line("%s", p.bold("Still on duty. Send an alert of your own from another terminal:"))
	p.line("")
	p.line("  curl -s %s/webhook -d '%s'", url, yours)
	p.line("")
	p.line("%s", p.faint("Sent twice it is a repetition, which is counted and not triaged again. Ctrl-C ends the demo."))
}

func (p *printer) end() {
	p.line("")
	p.line("The demo is over.")
}

// field writes a word and its text, which may have several paragraphs.
func (p *printer) field(word string, paragraphs ...string) {
	for _, text := range paragraphs {
		for _, l := range wrap(text, width-indent-label) {
			p.line("%s%s%s", strings.Repeat(" ", indent), p.faint(pad(word)), l)
			word = ""
		}
	}
}

// painted writes a word, a mark that was painted, and a text.
func (p *printer) painted(word, mark, text string) {
	for _, l := range wrap(text, width-indent-label-6) {
		p.line("%s%s%s %s", strings.Repeat(" ", indent), p.faint(pad(word)), mark, l)
		word, mark = "", strings.Repeat(" ", 5)
	}
}

func pad(word string) string { return fmt.Sprintf("%-*s", label, word) }

// wrap breaks s at blanks into lines of at most n characters, as far as there
// are blanks.
func wrap(s string, n int) []string {
	var lines []string
	at := ""
	for w := range strings.FieldsSeq(s) {
		switch {
		case at == "":
			at = s[:len(s)-len(strings.TrimLeft(s, " "))] + w // the first line keeps its indent
		case utf8.RuneCountInString(at)+1+utf8.RuneCountInString(w) > n:
			lines, at = append(lines, at), w
		default:
			at += " " + w
		}
	}
	return append(lines, at)
}
