package runbook

import (
	"fmt"
	"strings"
	"unicode"
)

// maxSection bounds one part of an escalation's text, in characters: it is
// read on a phone.
const maxSection = 1000

// Text is e as people read it: plain text without markup, one part a line, in
// the order in which a person who was just woken asks. A part that is empty is
// left out; one that has several lines is indented below its word. What others
// wrote can not forge a part, and holds nothing that cannot be seen.
func (e Escalation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(string(e.weight())), oneLine(visible(e.Title)))
	for _, part := range []struct{ word, text string }{
		{"Alert", e.unnamed()},
		{"Where", e.where()},
		{"Since", e.since()},
		{"Impact", e.Impact},
		{"Checked", e.Checked},
		{"Found", e.Found},
		{"Do", e.Recommend},
		{"If nobody answers", e.Default},
	} {
		writePart(&b, part.word, part.text)
	}
	return strings.TrimRight(b.String(), "\n")
}

// weight is the severity in a word; what has none is a warning, as everywhere.
func (e Escalation) weight() Severity {
	if e.Severity == "" || e.Severity == SeverityUnknown {
		return Warning
	}
	return e.Severity
}

// unnamed is the alert's name where the title does not have it.
func (e Escalation) unnamed() string {
	if strings.Contains(e.Title, e.Alert) {
		return ""
	}
	return e.Alert
}

// where reads "cart in platform-prod (prod)".
func (e Escalation) where() string {
	where := e.Service
	if e.Cluster != "" {
		where = strings.TrimSpace(where + " in " + e.Cluster)
	}
	if where != "" && e.Env != "" && e.Env != EnvUnknown {
		where += " (" + string(e.Env) + ")"
	}
	return where
}

// since is when the escalation was opened, and what is known of it by now.
func (e Escalation) since() string {
	if e.OpenedAt.IsZero() {
		return ""
	}
	s := e.OpenedAt.UTC().Format("2006-01-02 15:04 UTC")
	if e.Delivery != 0 {
		s += ", " + e.Delivery.String()
	}
	return s
}

func writePart(b *strings.Builder, word, text string) {
	lines := textLines(text)
	switch len(lines) {
	case 0:
	case 1:
		fmt.Fprintf(b, "%s: %s\n", word, lines[0])
	default:
		fmt.Fprintf(b, "%s:\n  %s\n", word, strings.Join(lines, "\n  "))
	}
}

// textLines cuts text to maxSection characters, drops what cannot be seen and
// returns its lines, without the empty ones.
func textLines(text string) []string {
	if r := []rune(text); len(r) > maxSection {
		text = string(r[:maxSection-1]) + "…"
	}
	var lines []string
	for l := range strings.SplitSeq(text, "\n") {
		if l = strings.TrimRight(visible(l), " "); strings.TrimSpace(l) != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// visible drops the characters that a person does not see: controls, direction
// marks, zero-width and private ones. A tab becomes a blank.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
