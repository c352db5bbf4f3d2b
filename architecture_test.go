package watchkeeper_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestArchitectureShowsEveryPackage compares the table of packages with the
// tree, in both directions.
func TestArchitectureShowsEveryPackage(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		shown = append(shown, row[1])
	}
	have := packages(t)
	for _, p := range have {
		if !slices.Contains(shown, p) {
			t.Errorf("docs/architecture.md does not show package %s: add a row with its one job", p)
		}
	}
	for _, p := range shown {
		if !slices.Contains(have, p) {
			t.Errorf("docs/architecture.md shows package %s, which is not there", p)
		}
	}
}

// packages returns the folders with Go files, from the top of the module.
func packages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || base == "node_modules" || base != "." && strings.HasPrefix(base, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if dir := path.Dir(filepath.ToSlash(name)); strings.HasSuffix(name, ".go") && !slices.Contains(found, dir) {
			found = append(found, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.Index(found, "."); i >= 0 {
		found[i] = "watchkeeper"
	}
	return found
}
