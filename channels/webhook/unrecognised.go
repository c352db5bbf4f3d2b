package webhook

import (
	"strings"
	"time"

	"watchkeeper/runbook"
)

// nameless is the name of an alert that has none.
const nameless = "Unrecognised alert"

// unrecognised makes an alert of a body that is valid JSON of no known format.
// The simple values at its top level serve as labels, so that a custom payload
// with a severity and a service gets both.
func unrecognised(body []byte, source string, receivedAt time.Time, n *Normalizer) runbook.Alert {
	raw := rawAlert{labels: topLevel(body)}
	a := n.alert(&raw, &envelope{}, source, receivedAt)
	a.Unrecognised = true
	a.Status, a.StartsAt, a.EndsAt = runbook.Firing, receivedAt, time.Time{}
	a.Fingerprint = hashOf(string(body))
	a.Body = clean(string(body[:min(len(body), maxRaw+1)]), maxRaw)
	a.Name = nameless
	for _, key := range []string{"title", "alertname", "name", "message", "event"} {
		if name := oneLine(raw.labels[key]); name != "" {
			a.Name = name
			break
		}
	}
	return a
}

// oneLine makes a name of what may be a text.
func oneLine(s string) string {
	return strings.TrimSpace(cut(strings.Join(strings.Fields(s), " "), 200))
}

// topLevel returns the strings, numbers and booleans of an object. body is
// known to be valid.
func topLevel(body []byte) map[string]string {
	p := &parser{dec: newDecoder(body), body: body}
	fields := map[string]string{}
	if p.dec.PeekKind() != '{' {
		return fields
	}
	err := p.object(func(key string) error {
		switch p.dec.PeekKind() {
		case '{', '[', 'n':
			return p.dec.SkipValue()
		}
		if len(fields) == maxEntries {
			return p.dec.SkipValue()
		}
		var value string
		err := p.scalar(&value)
		fields[clean(key, maxText)] = value
		return err
	})
	if err != nil {
		return map[string]string{}
	}
	return fields
}
