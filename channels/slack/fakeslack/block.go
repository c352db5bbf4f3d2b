package fakeslack

import (
	"encoding/json"
	"unicode/utf8"
)

// maxMetadata bounds the metadata of a message, in bytes.
const maxMetadata = 16 << 10

// checkMetadata checks that metadata is what Slack takes.
func checkMetadata(raw string) string {
	if raw == "" {
		return ""
	}
	var m struct {
		EventType    string         `json:"event_type"`
		EventPayload map[string]any `json:"event_payload"`
	}
	switch err := json.Unmarshal([]byte(raw), &m); {
	case err != nil:
		return "invalid_metadata_format"
	case len(raw) > maxMetadata:
		return "metadata_too_large"
	case m.EventType == "" || m.EventPayload == nil:
		return "invalid_metadata_schema"
	}
	return ""
}

// Bounds of Block Kit, in elements and characters.
const (
	maxBlocks   = 50
	maxSection  = 3000
	maxFields   = 10
	maxField    = 2000
	maxHeader   = 150
	maxElements = 25
	maxContext  = 10
	maxButton   = 75
	maxValue    = 2000
	maxID       = 255
)

// checkBlocks checks blocks against the documented bounds, gives those without
// one a block_id, and returns them as they are stored.
func checkBlocks(raw string, id func(string) string) (string, string) {
	if raw == "" || raw == "[]" {
		return "", ""
	}
	var blocks []map[string]any
	if err := json.Unmarshal([]byte(raw), &blocks); err != nil {
		return "", "invalid_blocks_format"
	}
	if len(blocks) > maxBlocks {
		return "", "invalid_blocks"
	}
	seen := map[string]bool{}
	for _, b := range blocks {
		if b["block_id"] == nil || b["block_id"] == "" {
			b["block_id"] = id("b")
		}
		name, _ := b["block_id"].(string)
		if seen[name] || !validBlock(b) {
			return "", "invalid_blocks"
		}
		seen[name] = true
	}
	stored, err := json.Marshal(blocks)
	if err != nil {
		return "", "invalid_blocks"
	}
	return string(stored), ""
}

func validBlock(b map[string]any) bool {
	elements, _ := b["elements"].([]any)
	fields, _ := b["fields"].([]any)
	switch b["type"] {
	case "section":
		return (b["text"] != nil || len(fields) > 0) && (b["text"] == nil || validText(b["text"], maxSection, true)) &&
			len(fields) <= maxFields && all(fields, func(f any) bool { return validText(f, maxField, true) }) && validElement(b["accessory"])
	case "header":
		return validText(b["text"], maxHeader, false)
	case "context":
		return len(elements) > 0 && len(elements) <= maxContext
	case "actions":
		return len(elements) > 0 && len(elements) <= maxElements && all(elements, validElement) && distinct(elements)
	case "divider", "image", "rich_text", "input", "file", "video", "markdown", "table":
		return true
	}
	return false
}

func all(list []any, ok func(any) bool) bool {
	for _, v := range list {
		if !ok(v) {
			return false
		}
	}
	return true
}

// distinct reports whether no two elements share an action_id.
func distinct(elements []any) bool {
	seen := map[any]bool{}
	return all(elements, func(v any) bool {
		o, _ := v.(map[string]any)
		id := o["action_id"]
		again := id != nil && seen[id]
		seen[id] = true
		return !again
	})
}

// validText checks a text object; only some may hold markup.
func validText(v any, limit int, markup bool) bool {
	o, _ := v.(map[string]any)
	text, _ := o["text"].(string)
	n := utf8.RuneCountInString(text)
	return (o["type"] == "plain_text" || markup && o["type"] == "mrkdwn") && n >= 1 && n <= limit
}

// validElement checks a button; other elements pass.
func validElement(v any) bool {
	o, _ := v.(map[string]any)
	if o == nil || o["type"] != "button" {
		return true
	}
	id, _ := o["action_id"].(string)
	value, _ := o["value"].(string)
	style := o["style"]
	return validText(o["text"], maxButton, false) && len(id) <= maxID && utf8.RuneCountInString(value) <= maxValue &&
		(style == nil || style == "" || style == "primary" || style == "danger")
}
