package tools

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	gitlab "gitlab.com/gitlab-org/api/client-go/v2"

	"watchkeeper/runbook"
)

// commitsShown and deploymentsShown bound what a list shows.
const (
	commitsShown     = 30
	deploymentsShown = 20
)

type commitsArgs struct {
	ProjectArgs
	PeriodArgs
	Ref  string `json:"ref,omitempty" jsonschema:"branch, tag or commit; the default branch if not given"`
	Path string `json:"path,omitempty" jsonschema:"only commits that touch this file or folder"`
}

func gitlabCommits(c *GitLabClient, d Deliveries) server.ServerTool {
	return tool("gitlab_commits",
		"Commits of a project, newest first, of one branch or that touch one path: for projects that push without merge requests (a GitOps repository), or to see who changed a file. "+
			"Otherwise gitlab_recent_merges says more in fewer lines.",
		readOnly,
		func(ctx context.Context, in commitsArgs) (string, error) {
			s, project, err := c.subject(ctx, d, in.ProjectArgs, in.PeriodArgs, 2*runbook.Day, mergesLead)
			if err != nil {
				return "", err
			}
			opts := &gitlab.ListCommitsOptions{Since: &s.from, Until: &s.to}
			opts.PerPage = commitsShown
			if in.Ref != "" {
				opts.RefName = &in.Ref
			}
			if in.Path != "" {
				opts.Path = &in.Path
			}
			list, res, err := c.api.Commits.ListCommits(project, opts, withContext(ctx))
			if err != nil {
				return "", c.explain("list commits", project, err)
			}
			return writeCommits(project, s, list, res.NextPage > 0), nil
		})
}

func writeCommits(project string, s scope, list []*gitlab.Commit, more bool) string {
	out := newPage(gitlabTokens)
	out.say("%s: %s from %s, newest first.", project, plural(len(list), "commit"), s.period)
	shown := 0
	for _, commit := range list {
		if !out.quote(commitLine(commit, s.began)) {
			break
		}
		shown++
	}
	if more || shown < len(list) {
		out.say("[older ones left out; set until to %s for them, or give path]", stamp(at(list[max(shown-1, 0)].CommittedDate)))
	}
	return out.String()
}

// commitLine reads "9f3c2d1e8b7a 2026-04-17 03:00:00Z by Ann: title". A commit
// message is written by whoever can push, and is quoted.
func commitLine(c *gitlab.Commit, began time.Time) string {
	line := fmt.Sprintf("%s %s%s by %s: %s", sha(c.ID), stamp(at(c.CommittedDate)), trailing(at(c.CommittedDate), began),
		withoutPeople(c.AuthorName, 60), withoutPeople(c.Title, 200))
	if _, body, ok := strings.Cut(c.Message, "\n"); ok {
		if text := withoutPeople(body, 160); text != "" {
			line += " — " + text
		}
	}
	return line
}

type deploymentsArgs struct {
	ProjectArgs
	PeriodArgs
	Environment string `json:"environment,omitempty" jsonschema:"only this GitLab environment, as production"`
}

func gitlabDeployments(c *GitLabClient, d Deliveries) server.ServerTool {
	return tool("gitlab_deployments",
		"What GitLab deployed of a project, newest first: environment, state, ref, commit, when and by whom. Use it to see what reached production before a problem began. "+
			"A project that Argo CD deploys has none here: argocd_apps tells its revisions.",
		readOnly,
		func(ctx context.Context, in deploymentsArgs) (string, error) {
			s, project, err := c.subject(ctx, d, in.ProjectArgs, in.PeriodArgs, 7*runbook.Day, 7*runbook.Day)
			if err != nil {
				return "", err
			}
			list, more, err := c.deployments(ctx, project, s.period, in.Environment)
			if err != nil {
				return "", err
			}
			return writeDeployments(project, s, list, more), nil
		})
}

// deployments lists what was deployed within p, newest first.
func (c *GitLabClient) deployments(ctx context.Context, project string, p period, environment string) (found []*gitlab.Deployment, more bool, err error) {
	opts := &gitlab.ListProjectDeploymentsOptions{
		UpdatedAfter: &p.from, OrderBy: new("updated_at"), Sort: new("desc"), // the filter demands this order
	}
	if environment != "" {
		opts.Environment = &environment
	}
	more, err = gitlabList(func(page gitlab.ListOptions) (*gitlab.Response, bool, error) {
		opts.ListOptions = page
		list, res, err := c.api.Deployments.ListProjectDeployments(project, opts, withContext(ctx))
		for _, d := range list {
			if t := deployedAt(d); !t.Before(p.from) && !t.After(p.to) {
				found = append(found, d)
			}
		}
		return res, false, err
	})
	if err != nil {
		return nil, false, c.explain("list deployments", project, err)
	}
	byNewest(found, deployedAt)
	return found, more, nil
}

// deployedAt is when the job ended, else when anything happened last.
func deployedAt(d *gitlab.Deployment) time.Time {
	for _, t := range []*time.Time{d.Deployable.FinishedAt, d.UpdatedAt, d.CreatedAt} {
		if t != nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func writeDeployments(project string, s scope, list []*gitlab.Deployment, more bool) string {
	out := newPage(gitlabTokens)
	out.say("%s: %s from %s, newest first.", project, plural(len(list), "deployment"), s.period)
	shown := 0
	for _, d := range list[:min(len(list), deploymentsShown)] {
		if !out.quote(deploymentLine(d, s.began)) {
			break
		}
		shown++
	}
	if rest := len(list) - shown; rest > 0 || more {
		out.say("[%d older ones left out; set until, or environment]", rest)
	}
	return out.String()
}

// deploymentLine reads "production success 2026-04-17 03:00:00Z: main at 9f3c…
// by ann: title".
func deploymentLine(d *gitlab.Deployment, began time.Time) string {
	env, by, title := "unknown environment", "unknown", ""
	if d.Environment != nil {
		env = withoutPeople(d.Environment.Name, 60)
	}
	if d.User != nil {
		by = withoutPeople(orElse(d.User.Username, d.User.Name), 60)
	}
	if c := d.Deployable.Commit; c != nil {
		title = ": " + withoutPeople(c.Title, 200)
	}
	return fmt.Sprintf("#%d %s %s %s%s: %s at %s by %s%s", d.IID, env, oneLine(d.Status, 20), stamp(deployedAt(d)), trailing(deployedAt(d), began),
		withoutPeople(d.Ref, 80), sha(d.SHA), by, title)
}
