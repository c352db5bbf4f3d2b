package messages

import (
	"fmt"
	"regexp"
	"strings"
)

// An Agent says whose turn it is.
type Agent int

// Main is the session itself, Sub an agent that it spawned.
const (
	Any Agent = iota
	Main
	Sub
)

// A Match selects requests; the zero Match takes every one. Patterns are
// regular expressions in which a dot also matches a new line. A named group
// (?P<name>…) can be used as ${name} in the reply.
type Match struct {
	Agent    Agent
	System   string // in the system prompt, or in a system message
	Text     string // in the text of the user's last turn
	Result   string // in a tool result of the user's last turn
	ResultOf string // name of the tool that a result of the last turn answers
	Anywhere string // anywhere in the messages
	Tool     string // the request offers this tool
	NoResult bool   // the user's last turn holds no tool result
}

// A Rule says what the model does when Match holds: always the same, or what a
// function makes of the request.
type Rule struct {
	Name  string // in the records and in messages of failed tests
	When  Match
	Reply []Block               // none is the text "OK"
	Do    func(Request) []Block // makes the reply, instead of Reply; it may be called from several goroutines
	Fail  *Failure              // instead of Reply
	Times int                   // how often the rule is used; 0 is always
	Hold  <-chan struct{}       // the answer waits until it is closed; nil does not wait
}

// A Block is one piece of the model's turn; see [Text] and [Call].
type Block struct {
	Text  string
	Tool  string
	Input map[string]any
}

// Text is something that the model says.
func Text(s string) Block { return Block{Text: s} }

// Call is a use of a tool. Strings in input, however deep, may hold ${name}.
func Call(tool string, input map[string]any) Block { return Block{Tool: tool, Input: input} }

// A Failure is an error of the API.
type Failure struct {
	Status  int               // such as 401, 429 or 529
	Type    string            // such as rate_limit_error
	Message string            // "" is a stock sentence
	Header  map[string]string // such as Retry-After, in seconds
}

// compiled is a Rule with its patterns ready.
type compiled struct {
	Rule
	system, text, result, anywhere *regexp.Regexp
	used                           int
}

func compile(r Rule) (*compiled, error) {
	c := &compiled{Rule: r}
	for _, p := range []struct {
		into    **regexp.Regexp
		pattern string
	}{{&c.system, r.When.System}, {&c.text, r.When.Text}, {&c.result, r.When.Result}, {&c.anywhere, r.When.Anywhere}} {
		if p.pattern == "" {
			continue
		}
		re, err := regexp.Compile("(?s)" + p.pattern)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Name, err)
		}
		*p.into = re
	}
	return c, nil
}

// match reports whether c answers r, and what its named groups caught.
func (c *compiled) match(r Request) (map[string]string, bool) {
	w := c.When
	switch {
	case c.Times > 0 && c.used >= c.Times,
		w.Agent == Main && r.SubAgent(),
		w.Agent == Sub && !r.SubAgent(),
		w.NoResult && len(r.Results()) > 0,
		w.Tool != "" && !r.Offers(w.Tool),
		w.ResultOf != "" && !r.answers(w.ResultOf):
		return nil, false
	}
	caught := map[string]string{}
	for _, p := range []struct {
		re   *regexp.Regexp
		text func() string
	}{{c.system, r.System}, {c.text, r.LastText}, {c.result, r.resultText}, {c.anywhere, r.Conversation}} {
		if p.re == nil {
			continue
		}
		m := p.re.FindStringSubmatch(p.text())
		if m == nil {
			return nil, false
		}
		for i, name := range p.re.SubexpNames() {
			if name != "" {
				caught[name] = m[i]
			}
		}
	}
	return caught, true
}

// expand puts what was caught into every string of v.
func expand(v any, caught map[string]string) any {
	switch v := v.(type) {
	case string:
		for name, s := range caught {
			v = strings.ReplaceAll(v, "${"+name+"}", s)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = expand(e, caught)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = expand(e, caught)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = expand(e, caught)
		}
		return out
	}
	return v
}
