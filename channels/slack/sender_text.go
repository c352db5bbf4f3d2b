package slack

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/secret"
)

// Bounds of a message, in characters. Slack takes more in one message, but
// cuts what it shows at about 4,000.
const (
	maxPart  = 3500
	maxParts = 4 // what is longer is attached as a file
	maxEdit  = 3900
)

// textEscaper is all the escaping that Slack's text wants.
var textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// outText is the text of a message as it goes to Slack: without secrets, and
// with no mention or command that is not ours.
func outText(text string, mrkdwn bool, people People) string {
	text = secret.Redact(text)
	if !mrkdwn {
		return textEscaper.Replace(text)
	}
	return tame(text, people)
}

// token is what Slack reads as a mention, a link or a command.
var token = regexp.MustCompile(`<[^<>]*>|[<>]`)

// tame leaves of Slack's markup only links, and mentions of the people on
// call. Whoever wrote the rest, a log line or the model, rings nobody.
func tame(text string, people People) string {
	return token.ReplaceAllStringFunc(text, func(m string) string {
		target := strings.Trim(m, "<>")
		target, _, _ = strings.Cut(target, "|")
		user, mention := strings.CutPrefix(target, "@")
		switch {
		case mention && people.Has(user):
			return "<@" + user + ">"
		case strings.HasPrefix(target, "https://"), strings.HasPrefix(target, "http://"), strings.HasPrefix(target, "mailto:"):
			return m
		case m == ">":
			return m // a quoted line; alone it closes nothing
		}
		return textEscaper.Replace(m)
	})
}

// outBlocks reads blocks, removes secrets and foreign mentions from every text
// in them, and returns them for Slack.
func outBlocks(raw string, people People) ([]slackgo.Block, error) {
	var all any
	if err := json.Unmarshal([]byte(raw), &all); err != nil {
		return nil, err
	}
	tameTexts(all, people)
	clean, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	var blocks slackgo.Blocks
	if err := json.Unmarshal(clean, &blocks); err != nil {
		return nil, err
	}
	return blocks.BlockSet, nil
}

func tameTexts(v any, people People) {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			tameTexts(child, people)
		}
	case map[string]any:
		if text, ok := v["text"].(string); ok {
			text = secret.Redact(text)
			if v["type"] == "mrkdwn" {
				text = tame(text, people)
			}
			v["text"] = text
		}
		for _, child := range v {
			tameTexts(child, people)
		}
	}
}

// split cuts a text into parts that Slack shows whole: between paragraphs if
// it can, else between lines, else between words. A block of code that is cut
// is closed and opened again.
func split(text string, limit int) []string {
	var parts []string
	open := false
	for text != "" {
		const fence = "```"
		prefix := ""
		if open {
			prefix = fence + "\n"
		}
		room := limit - len(prefix) - len(fence) - 1
		head, rest := text, ""
		if utf8.RuneCountInString(text) > room {
			head, rest = cutAt(text, room)
		}
		text = rest
		if strings.TrimSpace(head) == "" {
			continue
		}
		if strings.Count(head, fence)%2 == 1 {
			open = !open
		}
		part := prefix + head
		if open && rest != "" {
			part += "\n" + fence
		}
		parts = append(parts, part)
	}
	return parts
}

// cutAt cuts text near limit characters, where it hurts least.
func cutAt(text string, limit int) (head, rest string) {
	end := byteIndex(text, limit)
	for _, separator := range []string{"\n\n", "\n", " "} {
		if i := strings.LastIndex(text[:end], separator); i > end/2 {
			return strings.TrimRight(text[:i], "\n "), strings.TrimLeft(text[i:], "\n")
		}
	}
	// Not within an escape or a link, which would then be shown raw.
	if i := strings.LastIndexAny(text[:end], "&<"); i > end/2 && !strings.ContainsAny(text[i:end], ";>") {
		end = i
	}
	return text[:end], text[end:]
}

// byteIndex returns where character n of text begins.
func byteIndex(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

// summary is the beginning of a text that is attached as a file.
func summary(parts []string) []string {
	return slices.Concat(parts[:1], []string{"_This message is long; all of it is in the file below._"})
}
