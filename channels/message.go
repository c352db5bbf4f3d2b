package channels

import (
	"strconv"
	"strings"

	"watchkeeper/runbook"
)

// message renders what a person said. Their words are the content; they can
// not open or close a tag either.
func message(d runbook.Delivery) Event {
	meta := map[string]string{"event": string(d.Kind), "delivery": d.ID.String(), "user": attr(d.User), "thread": attr(d.Thread)}
	if d.Escalation != 0 {
		meta["escalation"] = strconv.FormatInt(d.Escalation, 10)
	}
	return Event{Delivery: d, Meta: meta, Content: cut(escaper.Replace(paragraphs(d.Text)), MaxContent)}
}

// paragraphs keeps the line breaks of what a person wrote, and nothing else
// that cannot be seen.
func paragraphs(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = flat(l)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
