package claude

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A choice is a dialog with the choices that it offers; the first one is
// marked in the beginning.
type choice struct {
	lines   []string
	choices []string
}

// dialog returns the dialog called name, as the real CLI words it: "warning"
// of development channels, "trust", "key" and "login"; anything else is one
// that nobody knows.
func dialog(name string, channels []string) choice {
	switch name {
	case "warning":
		return choice{
			[]string{"WARNING: Loading development channels", "", "Please use --channels to run a list of approved channels.", "Channels: server:" + strings.Join(channels, ", server:")},
			[]string{"I am using this for local development", "Exit"},
		}
	case "trust":
		dir, _ := os.Getwd()
		return choice{
			[]string{"Accessing workspace:", "", dir, "", "Quick safety check: Is this a project you created or one you trust? (Like your own code)"},
			[]string{"No, exit", "Yes, I trust this folder"},
		}
	case "key":
		return choice{
			[]string{"Detected a custom API key in your environment", "ANTHROPIC_API_KEY: sk-ant-...abc", "Do you want to use this API key?"},
			[]string{"No (recommended)", "Yes"},
		}
	case "login":
		return choice{[]string{"Select login method:"}, []string{"Claude account", "Console account"}}
	}
	return choice{[]string{"A new question from the vendor: " + name}, []string{"Buy it", "Never mind"}}
}

// screen is the terminal in raw mode.
type screen struct{ in *bufio.Reader }

func openScreen(ctx context.Context) (*screen, error) {
	stty := exec.CommandContext(ctx, "stty", "raw", "-echo")
	stty.Stdin = os.Stdin
	if out, err := stty.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("stty: %w: %s", err, out)
	}
	fmt.Fprint(os.Stdout, "\x1b[?2004h") // pastes come in brackets
	return &screen{bufio.NewReader(os.Stdin)}, nil
}

func (s *screen) draw(lines ...string) {
	fmt.Fprint(os.Stdout, "\x1b[2J\x1b[H"+strings.Join(lines, "\r\n"))
}

// ask shows the dialog and returns what was chosen.
func (s *screen) ask(d choice) string {
	at := 0
	for {
		lines := append([]string{}, d.lines...)
		for i, c := range d.choices {
			mark := "  "
			if i == at {
				mark = "❯ "
			}
			lines = append(lines, fmt.Sprintf(" %s%d. %s", mark, i+1, c))
		}
		s.draw(append(lines, "", " Enter to confirm · Esc to cancel")...)
		switch s.key() {
		case "up":
			at = max(at-1, 0)
		case "down":
			at = min(at+1, len(d.choices)-1)
		case "enter":
			return d.choices[at]
		}
	}
}

// prompts shows the input, and calls send with every message. Where send
// returns a dialog, it is shown next.
func (s *screen) prompts(send func(string) *choice) {
	text := ""
	rule := strings.Repeat("─", 60)
	for {
		shown, _, _ := strings.Cut(text, "\n")
		s.draw("On duty.", rule, "❯ "+shown, rule, "  ? for shortcuts")
		switch k := s.key(); k {
		case "enter":
			if d := send(text); d != nil {
				s.ask(*d)
			}
			text = ""
		case "up", "down":
		default:
			text += k
		}
	}
}

// key returns the next key by its name, or what was typed or pasted.
func (s *screen) key() string {
	r, _, err := s.in.ReadRune()
	if err != nil {
		os.Exit(129) // the terminal is gone
	}
	switch r {
	case '\r':
		return "enter"
	case '\x1b':
		return s.escape()
	}
	return string(r)
}

// escape reads what follows an ESC.
func (s *screen) escape() string {
	code := ""
	for !strings.ContainsAny(code, "ABCD~") {
		r, _, err := s.in.ReadRune()
		if err != nil {
			os.Exit(129)
		}
		code += string(r)
	}
	switch code {
	case "[A", "OA":
		return "up"
	case "[B", "OB":
		return "down"
	case "[200~":
		return s.pasted()
	}
	return ""
}

func (s *screen) pasted() string {
	const end = "\x1b[201~"
	text := ""
	for !strings.HasSuffix(text, end) {
		r, _, err := s.in.ReadRune()
		if err != nil {
			os.Exit(129)
		}
		text += string(r)
	}
	return strings.ReplaceAll(strings.TrimSuffix(text, end), "\r", "\n")
}
