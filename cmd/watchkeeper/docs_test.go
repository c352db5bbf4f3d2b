package main

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestDocumentedCommandsExist runs no command; it looks up every "watchkeeper
// COMMAND --flag" that an operator may copy.
func TestDocumentedCommandsExist(t *testing.T) {
	shell := regexp.MustCompile("watchkeeper ((?:[a-z]+ )?[a-z]+)((?: +(?:--?[a-z-]+(?:[ =][^-`|\\s]\\S*)?))*)")
	flag := regexp.MustCompile(`--([a-z-]+)`)
	seen := 0
	for _, path := range operatorsFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shell.FindAllStringSubmatch(string(text), -1) {
			cmd := lookUp(strings.Fields(m[1]))
			if cmd == nil {
				continue // a sentence, such as "watchkeeper goes on"
			}
			seen++
			for _, f := range flag.FindAllStringSubmatch(m[2], -1) {
				if cmd.Flags().Lookup(f[1]) == nil && cmd.InheritedFlags().Lookup(f[1]) == nil && cmd.Root().PersistentFlags().Lookup(f[1]) == nil {
					t.Errorf("%s: %q: there is no flag --%s", path, strings.TrimSpace(m[0]), f[1])
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("found %d commands in the documentation, want at least 40: is the pattern right?", seen)
	}
}

// lookUp returns the command that the words name, the second of them perhaps an
// argument; nil if the first names none.
func lookUp(words []string) *cobra.Command {
	cmd, _, err := newRoot().Find(words)
	if err != nil || cmd.Parent() == nil {
		return nil
	}
	return cmd
}

// TestDocumentedCommandsAreComplete has the README name every command.
func TestDocumentedCommandsAreComplete(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range newRoot().Commands() {
		if !cmd.Hidden && !strings.Contains(string(text), "watchkeeper "+cmd.Name()) {
			t.Errorf("README.md does not name watchkeeper %s (%s)", cmd.Name(), cmd.Short)
		}
	}
}

// operatorsFiles are those that operators read and copy from.
func operatorsFiles(t *testing.T) []string {
	t.Helper()
	files := []string{"../../README.md", "../../CHANGELOG.md"}
	for _, dir := range []string{"../../docs", "../../deploy"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestDocumentedMetricsAreThoseOfTheProgram compares the table of
// docs/operations.md with what a program on duty shows, in both directions.
func TestDocumentedMetricsAreThoseOfTheProgram(t *testing.T) {
	cmd, listen, log := startUp(t)
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	var page string
	for range 200 {
		res, err := http.Get("http://" + listen + "/metrics")
		if err == nil {
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			page = string(text)
			break
		}
		time.Sleep(50 * time.Millisecond) // another process starts: there is no fake time for it
	}
	have := unique(regexp.MustCompile(`# HELP (watchkeeper_\w+)`), page)
	if len(have) == 0 {
		t.Fatalf("no metrics on %s; the log:\n%s", listen, log)
	}
	// Counters with labels show once something was counted.
	have = append(have, "watchkeeper_webhook_requests_total", "watchkeeper_webhook_alerts_total")
	want := unique(regexp.MustCompile("(?m)^\\| `(watchkeeper_\\w+)"), operationsPage(t))
	for _, name := range have {
		if !slices.Contains(want, name) {
			t.Errorf("docs/operations.md does not explain the metric %s", name)
		}
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("docs/operations.md explains the metric %s, which is not there", name)
		}
	}
}

// TestDocumentedLogLinesExist looks every message of the table up in the
// source.
func TestDocumentedLogLinesExist(t *testing.T) {
	_, table, found := strings.Cut(operationsPage(t), "## Log lines")
	if !found {
		t.Fatal("docs/operations.md has no log lines")
	}
	source := sourceText(t)
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(table, -1) {
		for _, line := range unique(regexp.MustCompile("`([^`]+)`"), row[1]) {
			if !strings.Contains(source, strconv.Quote(line)) {
				t.Errorf("docs/operations.md explains the log line %q, which nothing writes", line)
			}
		}
	}
}

// TestEveryErrorLineIsDocumented has each message of the level ERROR explained,
// since it wants somebody to look.
func TestEveryErrorLineIsDocumented(t *testing.T) {
	slack, err := os.ReadFile("../../docs/slack.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := operationsPage(t) + string(slack)
	lines := unique(regexp.MustCompile(`[lL]og\.Error(?:Context)?\((?:ctx, |r\.Context\(\), )?"([^"]+)"`), sourceText(t))
	if len(lines) < 15 {
		t.Errorf("found %d messages, want more: is the pattern right?", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(pages, "`"+line+"`") {
			t.Errorf("neither docs/operations.md nor docs/slack.md explains the log line %q", line)
		}
	}
}

func operationsPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sourceText is all Go code that is no test.
func sourceText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == ".cache"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// unique returns what the first group of pattern matches in text, once each.
func unique(pattern *regexp.Regexp, text string) (out []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}
