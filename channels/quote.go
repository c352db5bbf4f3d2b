package channels

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest values that an event repeats, in characters.
const (
	maxAttr = 200
	maxLine = 300
)

// attr makes foreign text fit for an attribute: one line, bounded, and without
// the characters that end an attribute or a tag, whoever writes the tag.
func attr(s string) string {
	return cut(strings.Map(func(r rune) rune {
		switch r {
		case '<':
			return '('
		case '>':
			return ')'
		case '"', '`':
			return '\''
		}
		return printable(r)
	}, strings.ToValidUTF8(s, "\uFFFD")), maxAttr)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// quote makes foreign text fit for the content: one bounded line that can
// neither open nor close a tag.
func quote(s string) string {
	return escaper.Replace(cut(flat(s), maxLine))
}

// flat removes line breaks, control characters, and the invisible ones that
// change how text is read: direction marks, zero-width and tag characters.
func flat(s string) string {
	s = strings.Map(printable, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// printable drops a rune that is not for reading, and turns white space into
// a blank.
func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
		return -1
	}
	return r
}

// cut shortens s to n characters, the last of which says so.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
