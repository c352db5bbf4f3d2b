package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
