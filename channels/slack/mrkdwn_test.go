package slack_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"watchkeeper/channels/slack"
)

func TestMrkdwn(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain text stays", "backend restarted, 3 pods ready", "backend restarted, 3 pods ready"},
		{"bold", "**Found:** OOM", "*Found:* OOM"},
		{"italics", "*maybe* or _perhaps_", "_maybe_ or _perhaps_"},
		{"bold in bold is bold once", "## The **cause**", "*The cause*"},
		{"struck out", "~~noise~~ real", "~noise~ real"},
		{"code keeps its signs", "`a && b < c`", "`a &amp;&amp; b &lt; c`"},
		{"a block of code", "```go\nif a < b {\n}\n```", "```\nif a &lt; b {\n}\n```"},
		{"a fence in a fence cannot end it", "````\n```\nx\n````", "```\n'''\nx\n```"},
		{"indented code", "x\n\n    y < z", "x\n\n```\ny &lt; z\n```"},
		{"a list", "- one\n- two\n  - three", "• one\n• two\n    • three"},
		{"a numbered list", "3. one\n4. two", "3. one\n4. two"},
		{"a task list", "- [x] checked\n- [ ] open", "• ☑ checked\n• ☐ open"},
		{"a quotation", "> said\n> twice", "> said\n> twice"},
		{"a link", "[dashboard](https://signoz.example.com/d?a=1&b=2)", "<https://signoz.example.com/d?a=1&amp;b=2|dashboard>"},
		{"a bare link", "see https://example.com/x.", "see <https://example.com/x>."},
		{"a mail address", "<ops@example.com>", "<mailto:ops@example.com|ops@example.com>"},
		{"a link that leads nowhere good", "[x](javascript:alert(1))", "x (javascript:alert(1))"},
		{"a link cannot end early", "[a|b>c](<https://example.com/|<!channel>>)", "[a|b&gt;c](&lt;https://example.com/|&lt;!channel&gt;&gt;)"},
		{"a link with a bar", "[a|b](https://example.com/a|b)", "<https://example.com/a%7Cb|a¦b>"},
		{"an image is a link", "![graph](https://example.com/g.png)", "<https://example.com/g.png|graph>"},
		{"a mention is text", "<@U123> <!channel> <#C1|x> @here", "&lt;@U123&gt; &lt;!channel&gt; &lt;#C1|x&gt; @here"},
		{"an escaped mention is text", `\<!channel\> &lt;!here&gt;`, "&lt;!channel&gt; &lt;!here&gt;"},
		{"HTML is text", "<b>x</b>\n\n<div>\ny\n</div>", "&lt;b&gt;x&lt;/b&gt;\n\n&lt;div&gt;\ny\n&lt;/div&gt;"},
		{"a table is code", "| pod | restarts |\n|---|--:|\n| api-1 | 12 |\n| **db** | 0 |", "```\npod    restarts\n-----  --------\napi-1  12\ndb     0\n```"},
		{"lines stay lines", "one\ntwo", "one\ntwo"},
		{"marks do not cross lines", "**one\ntwo**", "*one*\n*two*"},
		{"characters that nobody sees are gone", "a\u202eb\u200bc\u0000d", "abcd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := slack.Mrkdwn(tt.in); got != tt.want {
				t.Errorf("Mrkdwn(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestMrkdwnOfAReport(t *testing.T) {
	in, err := os.ReadFile(filepath.Join("testdata", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.mrkdwn", []byte(slack.Mrkdwn(string(in))+"\n"))
}

// slackToken is what Slack reads between angle brackets.
var slackToken = regexp.MustCompile(`<[^>]*>?`)

// goodLink is the only kind of it that we send.
var goodLink = regexp.MustCompile(`^<(?i:https?://|mailto:)[^<>|\n]*(\|[^<>|\n]+)?>$`)

func FuzzMrkdwn(f *testing.F) {
	for _, s := range []string{
		"<!channel>", "<@U1>", "[a](<!here>)", "[<@U1>](https://x)", "`<!channel>`", "```\n<!channel>\n```", "<https://x|<!channel>>",
		"&lt;!channel&gt;", "\\<!channel>", "<a href=\"<!channel>\">", "| <!channel> |\n|-|", "![<@U1>](http://x \"<!here>\")",
		"[a]: https://x\n\n[a|b][a]", "<http://x>", "<mailto:a@b|x>", "www.example.com/<!channel>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := slack.Mrkdwn(s)
		for _, token := range slackToken.FindAllString(got, -1) {
			if !goodLink.MatchString(token) {
				t.Errorf("Mrkdwn(%q) = %q, which holds %q", s, got, token)
			}
		}
		if bare := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(got); strings.Contains(bare, "&") {
			t.Errorf("Mrkdwn(%q) = %q, which holds a bare &", s, got)
		}
	})
}
