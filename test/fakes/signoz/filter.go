package signoz

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A condition decides about a record, whose columns it is given.
type condition func(column func(string) (any, bool)) bool

// tokenPattern matches quoted text with its escapes, operators and words. The
// grammar is the part of SigNoz' that queries of tools may use.
var tokenPattern = regexp.MustCompile(`^\s*('(?:[^'\\]|\\.)*'|>=|<=|!=|[=<>(),]|[A-Za-z0-9_.:/-]+)`)

type parser struct {
	tokens []string
	pos    int
}

// parseFilter reads a filter expression, to the end.
func parseFilter(s string) (func(func(string) (any, bool)) bool, error) {
	p := &parser{}
	for rest := s; strings.TrimSpace(rest) != ""; {
		m := tokenPattern.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("found syntax errors while parsing the filter expression at %q", rest)
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	c, err := p.or()
	if err == nil && p.pos < len(p.tokens) {
		err = fmt.Errorf("found syntax errors while parsing the filter expression: unexpected %q", p.tokens[p.pos])
	}
	return c, err
}

func (p *parser) next() string {
	if p.pos >= len(p.tokens) {
		return ""
	}
	p.pos++
	return p.tokens[p.pos-1]
}

func (p *parser) accept(word string) bool {
	if p.pos < len(p.tokens) && strings.EqualFold(p.tokens[p.pos], word) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) or() (condition, error) {
	return p.list("OR", p.and, func(a, b bool) bool { return a || b })
}

func (p *parser) and() (condition, error) {
	return p.list("AND", p.comparison, func(a, b bool) bool { return a && b })
}

func (p *parser) list(word string, part func() (condition, error), join func(a, b bool) bool) (condition, error) {
	left, err := part()
	for err == nil && p.accept(word) {
		var right condition
		before := left
		right, err = part()
		left = func(c func(string) (any, bool)) bool { return join(before(c), right(c)) }
	}
	return left, err
}

func (p *parser) comparison() (condition, error) {
	if p.accept("(") {
		c, err := p.or()
		if err == nil && !p.accept(")") {
			err = fmt.Errorf("a bracket is not closed")
		}
		return c, err
	}
	name, op := p.next(), strings.ToUpper(p.next())
	var values []string
	if op == "IN" {
		if !p.accept("(") {
			return nil, fmt.Errorf("IN needs a list")
		}
		for {
			values = append(values, p.next())
			if p.accept(")") {
				break
			}
			if !p.accept(",") {
				return nil, fmt.Errorf("a list is not closed")
			}
		}
	} else {
		values = []string{p.next()}
	}
	for i, v := range values {
		if values[i] = unquoted(v); v == "" || name == "" || strings.HasPrefix(name, "'") {
			return nil, fmt.Errorf("found syntax errors while parsing the filter expression near %q", name)
		}
	}
	test, ok := operators[op]
	if !ok {
		return nil, fmt.Errorf("unknown operator %q", op)
	}
	return func(c func(string) (any, bool)) bool {
		v, ok := c(name)
		return ok && slices.ContainsFunc(values, func(want string) bool { return test(v, want) })
	}, nil
}

func unquoted(s string) string {
	if len(s) < 2 || s[0] != '\'' {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(s[1 : len(s)-1])
}

var operators = map[string]func(v any, want string) bool{
	"=":  func(v any, want string) bool { return text(v) == want },
	"!=": func(v any, want string) bool { return text(v) != want },
	"IN": func(v any, want string) bool { return text(v) == want },
	">=": func(v any, want string) bool {
		f, err := strconv.ParseFloat(want, 64)
		return err == nil && float(v) >= f
	},
	"CONTAINS": func(v any, want string) bool {
		return strings.Contains(strings.ToLower(text(v)), strings.ToLower(want))
	},
	"LIKE": func(v any, want string) bool { return strings.HasPrefix(text(v), strings.TrimSuffix(want, "%")) },
}
