package tools

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	gitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"watchkeeper/runbook"
)

// What a diff shows at most.
const (
	diffTokens    = 6000
	diffFiles     = 60  // that are listed
	diffFileLines = 120 // of one file, unless it was asked for
	diffLine      = 200 // characters
)

type diffArgs struct {
	ProjectArgs
	IID  int64  `json:"iid" jsonschema:"number of the merge request, as 412 for !412"`
	Path string `json:"path,omitempty" jsonschema:"only files below this path, or matching this glob (*.yaml)"`
}

func gitlabMergeDiff(c *GitLabClient) server.ServerTool {
	return tool("gitlab_merge_diff",
		"What one merge request changed: the files with the numbers of lines, and their diffs as far as they fit, generated files last. "+
			"Use it when gitlab_recent_merges shows a suspect, with path to see one file in full; not to read code in general.",
		readOnly,
		func(ctx context.Context, in diffArgs) (string, error) {
			project, err := c.project(in.ProjectArgs)
			if err != nil {
				return "", err
			}
			if in.IID <= 0 {
				return "", fmt.Errorf("iid is %d, want the number after ! of a merge request", in.IID)
			}
			m, _, err := c.api.MergeRequests.GetMergeRequest(project, in.IID, nil, withContext(ctx))
			if err != nil {
				return "", c.explain(fmt.Sprintf("read merge request !%d", in.IID), project, err)
			}
			files, more, err := c.diffs(ctx, project, in.IID)
			if err != nil {
				return "", err
			}
			return writeDiff(project, m, files, in.Path, more), nil
		})
}

func (c *GitLabClient) diffs(ctx context.Context, project string, iid int64) (files []*gitlab.MergeRequestDiff, more bool, err error) {
	more, err = gitlabList(func(page gitlab.ListOptions) (*gitlab.Response, bool, error) {
		list, res, err := c.api.MergeRequests.ListMergeRequestDiffs(project, iid, &gitlab.ListMergeRequestDiffsOptions{ListOptions: page}, withContext(ctx))
		files = append(files, list...)
		return res, false, err
	})
	if err != nil {
		return nil, false, c.explain(fmt.Sprintf("read the diff of !%d", iid), project, err)
	}
	return files, more, nil
}

func writeDiff(project string, m *gitlab.MergeRequest, all []*gitlab.MergeRequestDiff, only string, more bool) string {
	files := slices.DeleteFunc(slices.Clone(all), func(f *gitlab.MergeRequestDiff) bool { return !below(f.NewPath, only) && !below(f.OldPath, only) })
	slices.SortStableFunc(files, func(a, b *gitlab.MergeRequestDiff) int { return dull(a) - dull(b) })
	out := newPage(diffTokens)
	out.say("%s !%d, %s: %s%s.", project, m.IID, oneLine(m.State, 20), plural(len(all), "file"), matchingOnly(only, len(files)))
	out.quote(mergeLines(&m.BasicMergeRequest, time.Time{})...)
	for i, f := range files {
		if i == diffFiles {
			out.quote(fmt.Sprintf("and %d more files", len(files)-i))
			break
		}
		out.quote(fileLine(f))
	}
	cut := writeFileDiffs(out, files, only != "")
	if len(cut) > 0 {
		out.say("[not shown in full: %d of the files, first the %s; give path for one]", len(cut), ordinalsOf(cut))
	}
	if more {
		out.say("[GitLab has more files than were read]")
	}
	return out.String()
}

func matchingOnly(only string, n int) string {
	if only == "" {
		return ""
	}
	return fmt.Sprintf(", %d below %q", n, oneLine(only, 120))
}

// writeFileDiffs shows what fits and returns the places of the files that did
// not, counted from 0.
func writeFileDiffs(out *page, files []*gitlab.MergeRequestDiff, full bool) (cut []int) {
	for i, f := range files {
		if dull(f) == 2 || (dull(f) == 1 && !full) {
			continue // the list says why
		}
		lines := codeLines(f.Diff, diffLine)
		if n := len(lines); !full && n > diffFileLines {
			lines = append(lines[:diffFileLines:diffFileLines], fmt.Sprintf("… %d more lines of this file", n-diffFileLines))
			cut = append(cut, i)
		}
		for len(lines) > 0 && !out.quote(append([]string{"--- " + withoutPeople(f.NewPath, 200)}, lines...)...) {
			if len(cut) == 0 || cut[len(cut)-1] != i {
				cut = append(cut, i)
			}
			lines = lines[:len(lines)/2] // at least its beginning
		}
	}
	return cut
}

func ordinalsOf(cut []int) string {
	var parts []string
	for _, i := range cut[:min(len(cut), 3)] {
		parts = append(parts, runbook.Ordinal(i+1))
	}
	return strings.Join(parts, ", ") + " of the list"
}

// fileLine reads "deploy/values.yaml +3 −1", with what is special about it.
func fileLine(f *gitlab.MergeRequestDiff) string {
	s := withoutPeople(f.NewPath, 200)
	if f.RenamedFile && f.OldPath != f.NewPath {
		s = withoutPeople(f.OldPath, 200) + " → " + s
	}
	added, removed := counted(f.Diff)
	s += fmt.Sprintf(" +%d −%d", added, removed)
	switch {
	case f.NewFile:
		s += ", new"
	case f.DeletedFile:
		s += ", deleted"
	}
	switch {
	case f.TooLarge:
		s += ", too large: GitLab does not send its diff"
	case f.Collapsed:
		s += ", collapsed: GitLab does not send its diff"
	case f.Diff == "":
		s += ", no text changed (mode, rename or binary)"
	case generated(f):
		s += ", generated"
	}
	return s
}

// counted counts the lines that a diff adds and removes.
func counted(diff string) (added, removed int) {
	for line := range strings.SplitSeq(diff, "\n") {
		switch {
		case strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++ "):
			added++
		case strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "--- "):
			removed++
		}
	}
	return added, removed
}

// dull ranks what explains little last: 1 generated, 2 nothing to show.
func dull(f *gitlab.MergeRequestDiff) int {
	switch {
	case f.Diff == "":
		return 2
	case generated(f):
		return 1
	}
	return 0
}

var lockFile = regexp.MustCompile(`(?i)(\.lock|-lock\.(json|yaml)|\.sum|\.min\.(js|css)|\.pb\.go|\.svg|\.snap)$`)

func generated(f *gitlab.MergeRequestDiff) bool {
	return f.GeneratedFile || lockFile.MatchString(f.NewPath) || strings.Contains(f.NewPath, "vendor/")
}

// below reports whether a file is the one of that name, below that folder, or
// matches it as a glob; "" is everything.
func below(file, only string) bool {
	only = strings.Trim(only, "/")
	if only == "" || file == only || strings.HasPrefix(file, only+"/") {
		return true
	}
	whole, _ := path.Match(only, file)
	base, _ := path.Match(only, path.Base(file))
	return whole || base
}
