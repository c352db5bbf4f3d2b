package channels

import (
	"html"
	"sort"
	"strings"

	"watchkeeper/runbook"
)

// MaxContent bounds the content of an event, in characters.
const MaxContent = 1500

// An Event is one push to the session.
type Event struct {
	Delivery runbook.Delivery
	Content  string            // at most MaxContent characters; holds no tag
	Meta     map[string]string // keys are letters, digits and underscores
}

// Tag renders e as the model sees it when the CLI makes the tag itself: the
// form that stream mode sends as a user message. source is the server's name.
func (e Event) Tag(source string) string {
	var b strings.Builder
	b.WriteString(`<channel source="` + html.EscapeString(source) + `"`)
	for _, k := range e.keys() {
		b.WriteString(` ` + k + `="` + html.EscapeString(e.Meta[k]) + `"`)
	}
	b.WriteString(">\n" + e.Content + "\n</channel>")
	return b.String()
}

// metaOrder is the order in which attributes are read best; others follow.
var metaOrder = []string{"event", "delivery", "alert", "severity", "service", "cluster", "namespace", "env", "status", "count"}

func (e Event) keys() []string {
	rank := map[string]int{}
	for i, k := range metaOrder {
		rank[k] = i - len(metaOrder)
	}
	keys := make([]string, 0, len(e.Meta))
	for k := range e.Meta {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if a, b := rank[keys[i]], rank[keys[j]]; a != b {
			return a < b
		}
		return keys[i] < keys[j]
	})
	return keys
}
