package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// A SigNoz is one with its key. URL has no slash at its end; "" is none.
type SigNoz struct {
	URL string
	Key secret.Value
}

const signoz = place("signoz")

// Examine asks for the alert rules, as the session will.
func (s SigNoz) Examine(ctx context.Context) []Finding {
	const what = "key"
	switch {
	case s.URL == "":
		return []Finding{signoz.ok("url", "none is configured; logs, traces and metrics are not asked")}
	case !s.Key.Set():
		return []Finding{signoz.wrong(what, "not set", "make a key with the role Viewer (Settings, API Keys) and set SIGNOZ_API_KEY_FILE")}
	}
	a, err := ask(ctx, s.URL+"/api/v2/rules", "SIGNOZ-API-KEY", s.Key.Reveal())
	if err == nil && (a.status == http.StatusNotFound || !a.json(&struct{}{})) { // an older one has version 1, or shows its start page
		a, err = ask(ctx, s.URL+"/api/v1/rules", "SIGNOZ-API-KEY", s.Key.Reveal())
	}
	switch {
	case err != nil:
		return []Finding{signoz.wrong("url", fmt.Sprintf("%s: %v", s.URL, err), "set signoz.url to the address of SigNoz's own page, and see that this machine reaches it")}
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return []Finding{signoz.wrong(what, a.unexpected(), "make a new key with the role Viewer (Settings, API Keys) and set SIGNOZ_API_KEY_FILE")}
	case a.status != http.StatusOK || !a.json(&struct{}{}):
		return []Finding{signoz.wrong("url", a.unexpected(), "set signoz.url to the address of SigNoz itself, without a path")}
	}
	return []Finding{signoz.ok(what, "%s lets it read the alert rules", s.URL)}
}

// A GitLab is one with its token. URL has no slash at its end; "" is none.
type GitLab struct {
	URL      string
	Token    secret.Value
	Projects map[string]string // path of each service's project
}

const gitlab = place("gitlab")

// Examine looks at the token, which must read and must not write, and at each
// project.
func (g GitLab) Examine(ctx context.Context) []Finding {
	switch {
	case g.URL == "":
		return []Finding{gitlab.ok("url", "none is configured; merges and deployments are not asked")}
	case !g.Token.Set():
		return []Finding{gitlab.wrong("token", "not set", gitlabFix)}
	}
	token, good := g.token(ctx, time.Now())
	found := []Finding{token}
	if !good {
		return found
	}
	paths := slices.Collect(maps.Values(g.Projects))
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		found = append(found, g.project(ctx, path))
	}
	return found
}

const gitlabFix = "make a project or group access token with the role Reporter and the scope read_api alone, and set GITLAB_TOKEN_FILE"

// harmless are the scopes that change nothing.
var harmless = []string{"read_api", "read_user", "read_repository", "read_registry", "read_virtual_registry", "read_observability", "self_rotate", "openid", "profile", "email"}

// token also reports whether it is good enough to go on.
func (g GitLab) token(ctx context.Context, now time.Time) (f Finding, good bool) {
	const what = "token"
	a, err := g.ask(ctx, "personal_access_tokens/self")
	if err != nil {
		return gitlab.wrong("url", fmt.Sprintf("%s: %v", g.URL, err), "set gitlab.url to the address of GitLab, and see that this machine reaches it"), false
	}
	var self struct {
		Scopes    []string `json:"scopes"`
		ExpiresAt string   `json:"expires_at"` // a day, or ""
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return gitlab.wrong(what, "GitLab does not take it: wrong, expired or revoked", gitlabFix), false
	case a.status == http.StatusNotFound && a.json(&self):
		return gitlab.advice(what, "this GitLab does not tell its scopes", "see that it has read_api alone"), true
	case a.status != http.StatusOK || !a.json(&self):
		return gitlab.wrong("url", a.unexpected(), "set gitlab.url to the address of GitLab itself, without /api"), false
	}
	writes := slices.DeleteFunc(slices.Clone(self.Scopes), func(s string) bool { return slices.Contains(harmless, s) })
	switch {
	case len(writes) > 0:
		return gitlab.wrong(what, "it may write ("+strings.Join(writes, ", ")+"), and nothing here must be able to push", gitlabFix), true
	case !slices.Contains(self.Scopes, "read_api"):
		return gitlab.wrong(what, "it lacks read_api; it has "+strings.Join(self.Scopes, ", "), gitlabFix), false
	}
	detail := "reads and cannot write"
	if day, err := time.Parse(time.DateOnly, self.ExpiresAt); err == nil {
		detail += "; expires on " + self.ExpiresAt
		if day.Sub(now) < 2*runbook.Week {
			return gitlab.advice(what, detail, "rotate it before that day"), true
		}
	}
	return gitlab.ok(what, "%s", detail), true
}

func (g GitLab) project(ctx context.Context, path string) Finding {
	what := "project " + path
	a, err := g.ask(ctx, "projects/"+url.PathEscape(path))
	switch {
	case err != nil:
		return gitlab.wrong(what, err.Error(), "try again; if it stays, look at the network")
	case a.status == http.StatusNotFound:
		return gitlab.wrong(what, "it is not there, or not for this token", "mend gitlab.projects, or make the token a member of it (Reporter)")
	case a.status != http.StatusOK:
		return gitlab.wrong(what, a.unexpected(), "look at the token and at gitlab.projects")
	}
	return gitlab.ok(what, "can be read")
}

func (g GitLab) ask(ctx context.Context, path string) (answer, error) {
	return ask(ctx, g.URL+"/api/v4/"+path, "PRIVATE-TOKEN", g.Token.Reveal())
}
