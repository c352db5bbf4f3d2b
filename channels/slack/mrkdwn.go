package slack

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// markdown reads what models write: CommonMark with GitHub's tables, task
// lists, bare links and strikethrough.
var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM))

// Mrkdwn turns the Markdown that the session writes into Slack's markup. The
// result is escaped: it holds links, and no mention and no command, whatever
// the text says. What Slack has no markup for, such as a table, becomes plain
// or code.
func Mrkdwn(source string) string {
	src := []byte(printable(source))
	m := mrkdwn{src: src}
	return strings.TrimSpace(m.blocks(markdown.Parser().Parse(text.NewReader(src)), "\n\n"))
}

// A mrkdwn renders one document.
type mrkdwn struct {
	src  []byte
	bold bool // within bold text: Slack cannot nest it
}

// blocks renders the children of n, which are blocks.
func (m *mrkdwn) blocks(n ast.Node, separator string) string {
	var parts []string
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if part := m.block(c); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, separator)
}

func (m *mrkdwn) block(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Heading:
		return m.strong(n)
	case *ast.Blockquote:
		return "> " + strings.ReplaceAll(m.blocks(n, "\n\n"), "\n", "\n> ")
	case *ast.List:
		return m.list(n)
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		return fenced(m.lines(n))
	case *ast.HTMLBlock:
		text := m.lines(n)
		if n.HasClosure() {
			text += string(n.ClosureLine.Value(m.src))
		}
		return textEscaper.Replace(strings.TrimSpace(text))
	case *ast.ThematicBreak:
		return "———"
	case *extast.Table:
		return fenced(m.table(n))
	}
	return m.inlines(n)
}

// lines is the raw text of a block.
func (m *mrkdwn) lines(n ast.Node) string {
	return string(n.Lines().Value(m.src))
}

// fenced is a block of code. A fence within it would end it.
func fenced(code string) string {
	code = strings.ReplaceAll(strings.Trim(code, "\n"), "```", "'''")
	return "```\n" + textEscaper.Replace(code) + "\n```"
}

func (m *mrkdwn) list(n *ast.List) string {
	var items []string
	number := n.Start
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		bullet := "• "
		if n.IsOrdered() {
			bullet = fmt.Sprintf("%d. ", number)
			number++
		}
		items = append(items, bullet+strings.ReplaceAll(m.blocks(c, "\n"), "\n", "\n    "))
	}
	separator := "\n"
	if !n.IsTight {
		separator = "\n\n"
	}
	return strings.Join(items, separator)
}

// inlines renders the children of n, which are parts of a line.
func (m *mrkdwn) inlines(n ast.Node) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		b.WriteString(m.inline(c))
	}
	return b.String()
}

func (m *mrkdwn) inline(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Text:
		return m.text(n)
	case *ast.String:
		return textEscaper.Replace(string(n.Value))
	case *ast.CodeSpan:
		return codeSpan(m.plain(n))
	case *ast.Emphasis:
		if n.Level == 1 {
			return wrap("_", m.inlines(n))
		}
		return m.strong(n)
	case *extast.Strikethrough:
		return wrap("~", m.inlines(n))
	case *ast.Link:
		return link(string(n.Destination), m.plain(n))
	case *ast.Image:
		return link(string(n.Destination), m.plain(n))
	case *ast.AutoLink:
		return m.autoLink(n)
	case *ast.RawHTML:
		return textEscaper.Replace(string(n.Segments.Value(m.src)))
	case *extast.TaskCheckBox:
		if n.IsChecked {
			return "☑ "
		}
		return "☐ "
	}
	return m.inlines(n)
}

func (m *mrkdwn) text(n *ast.Text) string {
	value := n.Segment.Value(m.src)
	if !n.IsRaw() {
		value = unescape(value)
	}
	out := textEscaper.Replace(string(value))
	if n.SoftLineBreak() || n.HardLineBreak() {
		out += "\n"
	}
	return out
}

// strong renders n in bold, once.
func (m *mrkdwn) strong(n ast.Node) string {
	if m.bold {
		return m.inlines(n)
	}
	m.bold = true
	defer func() { m.bold = false }()
	return wrap("*", m.inlines(n))
}

// wrap puts marks around each line of s: Slack's do not cross lines.
func wrap(mark, s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.TrimSpace(l) != "" {
			lines[i] = mark + strings.TrimSpace(l) + mark
		}
	}
	return strings.Join(lines, "\n")
}

func codeSpan(code string) string {
	code = strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(code, "`", "'"), "\n", " "))
	if code == "" {
		return ""
	}
	return "`" + textEscaper.Replace(code) + "`"
}

// plain is the text of n without any markup, not escaped.
func (m *mrkdwn) plain(n ast.Node) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			value := c.Segment.Value(m.src)
			if _, code := n.(*ast.CodeSpan); !code && !c.IsRaw() {
				value = unescape(value)
			}
			b.Write(value)
			if c.SoftLineBreak() || c.HardLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.String:
			b.Write(c.Value)
		case *ast.AutoLink:
			b.Write(c.Label(m.src))
		default:
			b.WriteString(m.plain(c))
		}
	}
	return b.String()
}

func (m *mrkdwn) autoLink(n *ast.AutoLink) string {
	target, label := string(n.URL(m.src)), string(n.Label(m.src))
	if n.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(target, "mailto:") {
		target = "mailto:" + target
	}
	return link(target, label)
}

// urlEscaper takes from an address what would end Slack's link early.
var urlEscaper = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20", "\n", "", "\r", "", "\t", "")

// link is a link in Slack's markup. What is no web or mail address is shown
// and leads nowhere.
func link(target, label string) string {
	label = textEscaper.Replace(strings.Join(strings.Fields(label), " "))
	if !followed(target) {
		if target = textEscaper.Replace(target); target != "" && target != label {
			label = strings.TrimSpace(label + " (" + target + ")")
		}
		return label
	}
	address := urlEscaper.Replace(target)
	if label == "" || label == textEscaper.Replace(target) {
		return "<" + address + ">"
	}
	return "<" + address + "|" + strings.ReplaceAll(label, "|", "¦") + ">"
}

// followed reports whether target is an address that a person may follow.
func followed(target string) bool {
	target = strings.ToLower(target)
	for _, scheme := range []string{"https://", "http://", "mailto:"} {
		if strings.HasPrefix(target, scheme) && len(target) > len(scheme) {
			return true
		}
	}
	return false
}

// table sets a table in columns.
func (m *mrkdwn) table(n *extast.Table) string {
	var rows [][]string
	var widths []int
	for r := n.FirstChild(); r != nil; r = r.NextSibling() {
		var row []string
		for c := r.FirstChild(); c != nil; c = c.NextSibling() {
			cell := strings.Join(strings.Fields(m.plain(c)), " ")
			if len(row) == len(widths) {
				widths = append(widths, 0)
			}
			widths[len(row)] = max(widths[len(row)], utf8.RuneCountInString(cell))
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString(columns(row, widths) + "\n")
		if i == 0 {
			rule := make([]string, len(widths))
			for j, w := range widths {
				rule[j] = strings.Repeat("-", w)
			}
			b.WriteString(strings.Join(rule, "  ") + "\n")
		}
	}
	return b.String()
}

func columns(row []string, widths []int) string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
	}
	return strings.TrimRight(strings.Join(cells, "  "), " ")
}

// unescape resolves backslashes and entities, which the parser leaves in the
// text.
func unescape(value []byte) []byte {
	var b bytes.Buffer
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) && isPunct(value[i+1]) {
			i++
		}
		b.WriteByte(value[i])
	}
	return []byte(html.UnescapeString(b.String()))
}

func isPunct(c byte) bool { return strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) >= 0 }
