package tools

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	gitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"watchkeeper/runbook"
)

type mergesArgs struct {
	ProjectArgs
	PeriodArgs
	Limit int `json:"limit,omitempty" jsonschema:"how many at most, 15 if not given, at most 50"`
}

// mergesLead is how long before an alert a merge may matter: it may have
// waited for its release.
const mergesLead = runbook.Day

func gitlabRecentMerges(c *GitLabClient, d Deliveries) server.ServerTool {
	return tool("gitlab_recent_merges",
		"What was merged into the project of a service lately, newest first, with how long before the alert began. Use it to find the change behind a new problem; the last day if nothing else is asked. "+
			"Merged is not deployed: gitlab_deployments and argocd_apps tell what runs. gitlab_merge_diff shows one.",
		readOnly,
		func(ctx context.Context, in mergesArgs) (string, error) {
			s, project, err := c.subject(ctx, d, in.ProjectArgs, in.PeriodArgs, 2*runbook.Day, mergesLead)
			if err != nil {
				return "", err
			}
			merges, more, err := c.merges(ctx, project, s.period)
			if err != nil {
				return "", err
			}
			return writeMerges(project, s, merges, limited(in.Limit, 15, 50), more), nil
		})
}

// subject reads the project and the period of a call. Both name the service.
func (c *GitLabClient) subject(ctx context.Context, d Deliveries, p ProjectArgs, in PeriodArgs, otherwise, lead time.Duration) (scope, string, error) {
	if c == nil {
		return scope{}, "", errNoGitLab
	}
	s, err := in.scope(ctx, d, otherwise, lead)
	if err != nil {
		return s, "", err
	}
	if p.Service == "" && p.Project == "" {
		p.Service = s.service
	}
	project, err := c.project(p)
	return s, project, err
}

// merges lists what was merged within p, newest first. REST cannot filter by
// the time of the merge: what was merged since was updated since.
func (c *GitLabClient) merges(ctx context.Context, project string, p period) ([]*gitlab.BasicMergeRequest, bool, error) {
	found, more, err := c.mergesBy(ctx, project, p, "merged_at")
	var answer *gitlab.ErrorResponse
	if errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest { // before GitLab 17.2
		found, more, err = c.mergesBy(ctx, project, p, "updated_at")
	}
	if err != nil {
		return nil, false, c.explain("list merge requests", project, err)
	}
	byNewest(found, func(m *gitlab.BasicMergeRequest) time.Time { return at(m.MergedAt) })
	return found, more, nil
}

func (c *GitLabClient) mergesBy(ctx context.Context, project string, p period, order string) (found []*gitlab.BasicMergeRequest, more bool, err error) {
	opts := &gitlab.ListProjectMergeRequestsOptions{
		State: new("merged"), UpdatedAfter: &p.from, OrderBy: &order, Sort: new("desc"),
	}
	more, err = gitlabList(func(page gitlab.ListOptions) (*gitlab.Response, bool, error) {
		opts.ListOptions = page
		list, res, err := c.api.MergeRequests.ListProjectMergeRequests(project, opts, withContext(ctx))
		if err != nil {
			return nil, false, err
		}
		enough := false
		for _, m := range list {
			t := at(m.MergedAt)
			enough = enough || (order == "merged_at" && t.Before(p.from))
			if !t.Before(p.from) && !t.After(p.to) {
				found = append(found, m)
			}
		}
		return res, enough, nil
	})
	return found, more, err
}

func writeMerges(project string, s scope, merges []*gitlab.BasicMergeRequest, limit int, more bool) string {
	out := newPage(gitlabTokens)
	out.say("%s: %s merged from %s, newest first.", project, plural(len(merges), "merge request"), s.period)
	shown := 0
	for _, m := range merges[:min(len(merges), limit)] {
		if !out.quote(mergeLines(m, s.began)...) {
			break
		}
		shown++
	}
	if rest := len(merges) - shown; rest > 0 {
		out.say("[%d older left out; set until to %s for them]", rest, stamp(at(merges[shown].MergedAt)))
	}
	if more {
		out.say("[GitLab has more than was read; ask for a shorter window]")
	}
	if shown > 0 {
		out.say("gitlab_merge_diff with project %s and the number after ! shows what one changed.", project)
	}
	return out.String()
}

// mergeLines tell of one merge request.
func mergeLines(m *gitlab.BasicMergeRequest, began time.Time) []string {
	lines := []string{fmt.Sprintf("!%d merged %s%s into %s by %s (author %s): %s", m.IID, stamp(at(m.MergedAt)), trailing(at(m.MergedAt), began),
		oneLine(m.TargetBranch, 60), who(merger(m)), who(m.Author), withoutPeople(m.Title, 200))}
	detail := []string{"commit " + sha(mergeCommit(m))}
	if len(m.Labels) > 0 {
		detail = append(detail, "labels "+withoutPeople(strings.Join(m.Labels, ", "), 120))
	}
	if text := withoutPeople(m.Description, 160); text != "" {
		detail = append(detail, text)
	}
	return append(lines, "  "+strings.Join(detail, "; "))
}

func merger(m *gitlab.BasicMergeRequest) *gitlab.BasicUser {
	if m.MergeUser != nil {
		return m.MergeUser
	}
	return m.MergedBy //nolint:staticcheck // what a GitLab before 14.7 knows
}

// mergeCommit is the commit on the target branch.
func mergeCommit(m *gitlab.BasicMergeRequest) string {
	return orElse(m.MergeCommitSHA, orElse(m.SquashCommitSHA, m.SHA))
}
