package tools

import (
	"regexp"
	"slices"
	"strconv"
	"time"
)

// changing matches the parts of a line that differ between repetitions.
var changing = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b` + // UUID
	`|\b[a-z0-9]+(?:-[a-z0-9]+)*-[a-f0-9]{8,10}-[a-z0-9]{5}\b` + // pod
	`|\b(?:0x)?[0-9a-f]*\d[0-9a-f]{6,}\b` + // hash, trace
	`|\d+(?:[.:,T/-]\d+)*Z?`) // number, time, address

// template returns the shape of a line: what stays when it is printed again.
func template(s string) string { return changing.ReplaceAllString(s, "#") }

// A LogTemplate is log lines that differ only in numbers and identifiers.
type LogTemplate struct {
	Template    string
	Example     string // the latest line, cleaned
	Count       int
	Pods        int       // how many pods printed it
	First, Last time.Time // zero if the lines have no times
}

// A templates counts lines by shape.
type templates map[string]*templateCount

type templateCount struct {
	LogTemplate
	pods  map[string]bool
	score int
	order int // of the latest line among all
}

// add counts one line of a pod. Its text must be printable already.
func (t templates) add(l logLine) {
	key := template(l.text)
	c := t[key]
	if c == nil {
		if len(t) >= maxTemplates {
			return
		}
		c = &templateCount{LogTemplate: LogTemplate{Template: key, First: l.at}, pods: map[string]bool{}, score: alarm(l.text)}
		t[key] = c
	}
	c.Count++
	c.pods[l.pod] = true
	c.Example, c.order = l.text, l.order
	if l.at.Before(c.First) {
		c.First = l.at
	}
	if l.at.After(c.Last) {
		c.Last = l.at
	}
}

// maxTemplates bounds the memory that a log without repetitions takes.
const maxTemplates = 5000

// list returns the templates that keep approves of, in order of the latest
// line.
func (t templates) list(keep func(*templateCount) bool) []*templateCount {
	var out []*templateCount
	for _, c := range t {
		if keep(c) {
			c.Pods = len(c.pods)
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *templateCount) int { return a.order - b.order })
	return out
}

var (
	fatal = regexp.MustCompile(`(?i)\b(fatal|panic|panicked|emerg|critical|caused by|uncaught|unhandled|segfault|sigsegv|out ?of ?memory|oom|assertion|abort(ed|ing)?|too many|no space left|cannot start|deadlock)\b|^\s*[A-Za-z_.]*(Error|Exception)\b`)
	bad   = regexp.MustCompile(`(?i)\b(err|errors?|exception|severe|fail(ed|ure|s)?|refused|denied|unauthorized|forbidden|timed? ?out|unreachable|unable|cannot|can't|could not|not found|no such|invalid|missing|required|rejected|reset by peer|broken pipe|expired|exceeded|exhausted|unavailable|503|500|502|504|x509|certificate)\b`)
	hush  = regexp.MustCompile(`(?i)\b(error(s|_count)?[=: ]+(0|none|null|nil|false|"")|0 errors|no errors?)\b|^\s*at [\w.$]+\(|^\s+File "|\b(DEBUG|TRACE)\b`)
	calm  = regexp.MustCompile(`(?i)\b(INFO|NOTICE)\b|level=info|"level":\s*"info"`)
)

// alarm says how much a line looks like a cause: 3 fatal, 2 an error, 1 a
// word of trouble in a calm line, 0 none.
func alarm(s string) int {
	switch {
	case hush.MatchString(s):
		return 0
	case calm.MatchString(s):
		if bad.MatchString(s) || fatal.MatchString(s) {
			return 1
		}
		return 0
	case fatal.MatchString(s):
		return 3
	case bad.MatchString(s):
		return 2
	}
	return 0
}

// decisive picks the lines that explain most, at most n, oldest first: the
// most alarming, of these the latest. If nothing alarms, the last lines.
func decisive(t templates, n int) []string {
	all := t.list(func(*templateCount) bool { return true })
	picked := slices.Clone(all)
	slices.SortStableFunc(picked, func(a, b *templateCount) int {
		if a.score != b.score {
			return b.score - a.score
		}
		return b.order - a.order
	})
	for i, c := range picked {
		if i >= n || (i > 0 && c.score == 0) {
			picked = picked[:i]
			break
		}
	}
	if len(picked) == 1 && picked[0].score == 0 {
		picked = all[max(0, len(all)-n):]
	}
	slices.SortFunc(picked, func(a, b *templateCount) int { return a.order - b.order })
	return examples(picked)
}

// examples writes templates as their latest line, with the count if repeated.
func examples(list []*templateCount) []string {
	var lines []string
	for _, c := range list {
		lines = append(lines, times(c.Count)+oneLine(c.Example, logLineLimit))
	}
	return lines
}

func times(n int) string {
	if n <= 1 {
		return ""
	}
	return strconv.Itoa(n) + "× "
}
