package session

import (
	"strings"
	"unicode"
)

// A dialog is a question of the CLI that we know and have an answer to. It is
// recognised by words that must all be on the screen.
type dialog struct {
	name   string
	words  []string
	answer string // the choice to make
}

// dialogs returns what may come up while a CLI starts in the folder dir with
// the channels of names. The answers are those that starting Watchkeeper there
// has given already; everything else is for a person.
func dialogs(dir string, channels []string) []dialog {
	return []dialog{
		{
			name:   "development channels",
			words:  []string{"WARNING: Loading development channels", "Channels: " + serverList(channels)},
			answer: "I am using this for local development",
		},
		{
			name:   "trust",
			words:  []string{"Is this a project you created or one you trust?", dir},
			answer: "Yes, I trust this folder",
		},
		{
			name:   "API key",
			words:  []string{"Detected a custom API key in your environment", "Do you want to use this API key?"},
			answer: "Yes",
		},
	}
}

func serverList(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, "server:"+n)
	}
	return strings.Join(all, ", ")
}

// loginWords are on the screen of a CLI that nobody has logged in.
var loginWords = []string{"Select login method:"}

// recognise returns the dialog that screen shows, nil if it shows none of
// known.
func recognise(screen string, known []dialog) *dialog {
	for i := range known {
		if shows(screen, known[i].words) && shows(screen, []string{known[i].answer}) {
			return &known[i]
		}
	}
	return nil
}

// shows reports whether every one of words is on the screen, wherever the
// lines were broken.
func shows(screen string, words []string) bool {
	squeeze := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || unicode.In(r, unicode.So) { // the lines of a box are symbols
				return -1
			}
			return r
		}, s)
	}
	screen = squeeze(screen)
	for _, w := range words {
		if !strings.Contains(screen, squeeze(w)) {
			return false
		}
	}
	return true
}

// marker stands before the choice that Enter would take.
const marker = "❯"

// chosen returns the choice that Enter would take, "" if there is none.
func chosen(screen string) string {
	for line := range strings.Lines(screen) {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(line, " │"), marker); ok {
			return choice(rest)
		}
	}
	return ""
}

// choice cleans a line of a list of choices: no number, no tick, no border.
func choice(line string) string {
	line = strings.Trim(line, " │✔\n")
	if number, rest, ok := strings.Cut(line, ". "); ok && strings.Trim(number, "0123456789") == "" {
		line = rest
	}
	return strings.TrimSpace(line)
}

// ready reports whether the CLI waits for a message: its input lies between
// two rules. In every dialog the marker stands elsewhere, so that what we type
// can never answer one.
func ready(screen string) bool {
	rule := func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "────────") }
	var lines []string
	for line := range strings.Lines(screen) {
		lines = append(lines, line)
	}
	for i := 1; i+1 < len(lines); i++ {
		if strings.HasPrefix(lines[i], marker) && rule(lines[i-1]) && rule(lines[i+1]) {
			return true
		}
	}
	return false
}

// words returns the lines of screen that are not empty.
func words(screen string) []string {
	var lines []string
	for line := range strings.Lines(screen) {
		if line = strings.TrimRight(line, " \n"); strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
