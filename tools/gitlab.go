package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
	"golang.org/x/time/rate"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// Bounds of what is asked of GitLab.
const (
	gitlabPage    = 100
	gitlabPages   = 3 // of one list; a busy project merges less in a week
	gitlabTokens  = 3000
	gitlabRetries = 1
)

// A GitLabClient reads the configured projects of one GitLab. A nil
// GitLabClient is none: every call says that it is not configured. It is safe
// for concurrent use.
type GitLabClient struct {
	api      *gitlab.Client
	projects map[string]string // path by service
}

// NewGitLab returns a client for the GitLab at url, which has no slash at its
// end. Projects maps services to project paths, and nothing else is reachable;
// a service may be a glob. Token needs the scope read_api. It connects to
// nothing; an empty url gives nil.
func NewGitLab(url string, token secret.Value, projects map[string]string) (*GitLabClient, error) {
	if url == "" {
		return nil, nil
	}
	api, err := gitlab.NewClient(token.Reveal(), gitlab.WithBaseURL(url),
		gitlab.WithHTTPClient(outside(onlyGets)), gitlab.WithUserAgent("watchkeeper"),
		gitlab.WithCustomRetryMax(gitlabRetries),
		// Without one of ours the client asks the server for its limits first.
		gitlab.WithCustomLimiter(rate.NewLimiter(10, 20)),
		gitlab.WithURLWarningLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("make GitLab client: %w", err)
	}
	return &GitLabClient{api: api, projects: maps.Clone(projects)}, nil
}

// onlyGets is the permit of GitLab.
func onlyGets(r *http.Request) error {
	if r.Method != http.MethodGet {
		return fmt.Errorf("refused before it was sent: GitLab is only read, and this is a %s", r.Method)
	}
	return nil
}

// GitLab returns the tools that read GitLab: gitlab_recent_merges,
// gitlab_merge_diff, gitlab_commits and gitlab_deployments. With a nil client
// they say that it is not configured; deliveries may be nil, then no event can
// be named.
func GitLab(c *GitLabClient, d Deliveries) []server.ServerTool {
	return []server.ServerTool{gitlabRecentMerges(c, d), gitlabMergeDiff(c), gitlabCommits(c, d), gitlabDeployments(c, d)}
}

// ProjectArgs name the project.
type ProjectArgs struct {
	Service string `json:"service,omitempty" jsonschema:"service whose project is meant"`
	Project string `json:"project,omitempty" jsonschema:"instead of service: path of a configured project, as group/backend"`
}

// errNoGitLab tells the session not to try again.
var errNoGitLab = errors.New("GitLab is not configured; the operator sets gitlab.url, gitlab.projects and GITLAB_TOKEN. Go on without it and say so")

// project returns the path of the project that is meant.
func (c *GitLabClient) project(in ProjectArgs) (string, error) {
	if c == nil {
		return "", errNoGitLab
	}
	if len(c.projects) == 0 {
		return "", errors.New("no GitLab project is configured; the operator maps services to projects under gitlab.projects in watchkeeper.yaml")
	}
	if in.Project != "" {
		for _, path := range c.projects {
			if strings.EqualFold(path, strings.Trim(in.Project, "/")) {
				return path, nil
			}
		}
		return "", fmt.Errorf("project %q is not configured; configured are %s", oneLine(in.Project, 80), c.known())
	}
	if in.Service == "" {
		return "", fmt.Errorf("give service or project; configured are %s", c.known())
	}
	if path := c.projectOf(in.Service); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("service %q has no project; configured are %s. Name the one that deploys it with project", oneLine(in.Service, 80), c.known())
}

// projectOf returns the project of a service, "" if it has none. An exact name
// goes before a glob; "shop/cart" is cart.
func (c *GitLabClient) projectOf(service string) string {
	if c == nil || service == "" {
		return ""
	}
	service = strings.ToLower(service[strings.LastIndexByte(service, '/')+1:])
	for _, name := range slices.Sorted(maps.Keys(c.projects)) {
		if strings.EqualFold(name, service) {
			return c.projects[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.projects)) {
		if strings.Contains(name, "*") && runbook.Glob(name, service) {
			return c.projects[name]
		}
	}
	return ""
}

// known lists the projects for an error.
func (c *GitLabClient) known() string {
	var list []string
	for _, s := range slices.Sorted(maps.Keys(c.projects)) {
		list = append(list, s+" ("+c.projects[s]+")")
	}
	if len(list) > 30 {
		list = append(list[:30], fmt.Sprintf("%d more", len(list)-30))
	}
	return strings.Join(list, ", ")
}

// explain turns an error of a request into what the session can act on.
func (c *GitLabClient) explain(doing, project string, err error) error {
	if err == nil {
		return nil
	}
	status := 0
	if answer, ok := errors.AsType[*gitlab.ErrorResponse](err); ok {
		status = answer.StatusCode
		err = errors.New(answer.Message)
	}
	return failure("GitLab", doing+" of "+project, status,
		"the token needs the scope read_api and the role Reporter in the project; the path in gitlab.projects or the number may be wrong", err)
}

// gitlabList reads pages until fetch says that there are no more. It reports
// whether some were left.
func gitlabList(fetch func(gitlab.ListOptions) (*gitlab.Response, bool, error)) (more bool, err error) {
	for page := int64(1); page <= gitlabPages; page++ {
		res, enough, err := fetch(gitlab.ListOptions{PerPage: gitlabPage, Page: page})
		if err != nil {
			return false, err
		}
		if enough || res.NextPage == 0 {
			return false, nil
		}
	}
	return true, nil
}

// withContext bounds one request.
func withContext(ctx context.Context) gitlab.RequestOptionFunc { return gitlab.WithContext(ctx) }

// who is the name that GitLab shows of a person, never an address.
func who(u *gitlab.BasicUser) string {
	if u == nil {
		return "unknown"
	}
	return withoutPeople(orElse(u.Username, u.Name), 60)
}

// at is the moment, zero if there is none.
func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// sha is a commit in short; what is none is cleaned.
func sha(s string) string {
	if commit.MatchString(s) {
		return s[:12]
	}
	return oneLine(s, 40)
}
