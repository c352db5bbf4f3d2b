// Package gitlab is a GitLab for tests: an HTTP handler on loopback with the
// shapes, the paging, the filters and the errors of the REST API v4, as far as
// Watchkeeper reads it.
//
// It is faithful where that matters: a filter that GitLab does not have is
// ignored, merge requests cannot be filtered by the time of their merge, a
// token is demanded, a project that the token may not see is a 404, and the
// answers hold the addresses of people.
package gitlab

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"watchkeeper/test/fakes/fault"
)

// Token is the only one that is accepted.
const Token = "glpat-fake-token-of-the-tests"

// A MergeRequest is a merged one, unless MergedAt is zero.
type MergeRequest struct {
	IID                int64
	Title, Description string
	Author             string // user name
	Target             string // branch; "" is main
	Labels             []string
	MergedAt           time.Time
	UpdatedAt          time.Time // MergedAt if zero
	SHA                string    // of the merge commit
	Files              []File
}

// A File is one of a diff.
type File struct {
	Old, New            string // Old is New if empty
	Diff                string // unified, without the header; "" if Collapsed or TooLarge
	Collapsed, TooLarge bool
	Added, Deleted      bool
	Generated           bool
}

// A Commit is one on every branch.
type Commit struct {
	ID, Title, Message, Author string
	At                         time.Time
	Paths                      []string
}

// A Deployment is one of a job, or made by the API if Job is false.
type Deployment struct {
	IID                           int64
	Environment, Status, Ref, SHA string
	User, Title                   string
	At                            time.Time
	Job                           bool
}

// A Project is what the server knows of one.
type Project struct {
	Merges      []MergeRequest
	Commits     []Commit
	Deployments []Deployment
}

// A Fault is what happens instead of an answer.
type Fault = fault.Fault

// A Server is the fake. Its fields may be changed before it is used.
type Server struct {
	Projects map[string]*Project // by path
	Old      bool                // before 17.2: merge requests cannot be ordered by merged_at

	fault.Log // of requests, as "GET /api/v4/…?…"
}

// New returns a server without projects.
func New() *Server { return &Server{Projects: map[string]*Project{}} }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Fails(w, r, voice) {
		return
	}
	if r.Header.Get("PRIVATE-TOKEN") != Token && r.Header.Get("Authorization") != "Bearer "+Token {
		refuse(w, http.StatusUnauthorized, "401 Unauthorized")
		return
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v4/projects/")
	name, rest, _ := strings.Cut(rest, "/")
	p := s.Projects[strings.ReplaceAll(strings.ReplaceAll(name, "%2F", "/"), "%2E", ".")]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "404 Not Found")
	case p == nil:
		refuse(w, http.StatusNotFound, "404 Project Not Found")
	case r.Method != http.MethodGet:
		refuse(w, http.StatusForbidden, "403 Forbidden")
	default:
		s.serve(w, r, p, rest)
	}
}

// voice is how GitLab speaks of a fault.
var voice = fault.Voice{
	Page: "<!DOCTYPE html><html><body>Sign in</body></html>",
	Refuse: func(w http.ResponseWriter, status int) {
		refuse(w, status, strconv.Itoa(status)+" "+http.StatusText(status))
	},
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, p *Project, rest string) {
	parts := strings.Split(rest, "/")
	switch {
	case rest == "merge_requests":
		s.merges(w, r, p)
	case parts[0] == "merge_requests" && len(parts) >= 2:
		s.merge(w, r, p, parts[1], strings.Join(parts[2:], "/"))
	case rest == "repository/commits":
		commits(w, r, p)
	case rest == "deployments":
		deployments(w, r, p)
	default:
		refuse(w, http.StatusNotFound, "404 Not Found")
	}
}

func (s *Server) merges(w http.ResponseWriter, r *http.Request, p *Project) {
	q := r.URL.Query()
	order := cmp.Or(q.Get("order_by"), "created_at")
	if order == "merged_at" && s.Old {
		answer(w, http.StatusBadRequest, map[string]any{"error": "order_by does not have a valid value"})
		return
	}
	var list []MergeRequest
	for _, m := range p.Merges {
		if q.Get("state") == "merged" && m.MergedAt.IsZero() || m.updated().Before(when(q.Get("updated_after"))) {
			continue
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b MergeRequest) int {
		if order == "merged_at" {
			return b.MergedAt.Compare(a.MergedAt)
		}
		return b.updated().Compare(a.updated())
	})
	page(w, r, list, MergeRequest.json)
}

func (s *Server) merge(w http.ResponseWriter, r *http.Request, p *Project, iid, rest string) {
	n, _ := strconv.ParseInt(iid, 10, 64)
	i := slices.IndexFunc(p.Merges, func(m MergeRequest) bool { return m.IID == n })
	switch {
	case i < 0:
		refuse(w, http.StatusNotFound, "404 Not found")
	case rest == "":
		m := p.Merges[i].json()
		m["changes_count"] = strconv.Itoa(len(p.Merges[i].Files))
		answer(w, http.StatusOK, m)
	case rest == "diffs":
		page(w, r, p.Merges[i].Files, File.json)
	default:
		refuse(w, http.StatusNotFound, "404 Not Found")
	}
}

func commits(w http.ResponseWriter, r *http.Request, p *Project) {
	q := r.URL.Query()
	since, until := when(q.Get("since")), when(q.Get("until"))
	if ref := q.Get("ref_name"); ref != "" && ref != "main" {
		refuse(w, http.StatusNotFound, "404 Commit Not Found")
		return
	}
	var list []Commit
	for _, c := range p.Commits {
		touched := q.Get("path") == "" || slices.ContainsFunc(c.Paths, func(f string) bool { return strings.HasPrefix(f, q.Get("path")) })
		if !c.At.Before(since) && (until.IsZero() || !c.At.After(until)) && touched {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Commit) int { return b.At.Compare(a.At) })
	page(w, r, list, Commit.json)
}

func deployments(w http.ResponseWriter, r *http.Request, p *Project) {
	q := r.URL.Query()
	after := when(q.Get("updated_after"))
	if !after.IsZero() && q.Get("order_by") != "updated_at" {
		answer(w, http.StatusBadRequest, map[string]any{"message": "`updated_at` filter requires `updated_at` sort"})
		return
	}
	var list []Deployment
	for _, d := range p.Deployments {
		if d.At.Before(after) || (q.Get("environment") != "" && q.Get("environment") != d.Environment) {
			continue
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Deployment) int { return b.At.Compare(a.At) })
	page(w, r, list, Deployment.json)
}

// page answers with one page and the headers that lead to the next.
func page[T any](w http.ResponseWriter, r *http.Request, list []T, form func(T) map[string]any) {
	number := max(atoi(r.URL.Query().Get("page")), 1)
	size := min(cmp.Or(atoi(r.URL.Query().Get("per_page")), 20), 100)
	from := min((number-1)*size, len(list))
	to := min(from+size, len(list))
	out := []map[string]any{}
	for _, v := range list[from:to] {
		out = append(out, form(v))
	}
	h := w.Header()
	h.Set("X-Page", strconv.Itoa(number))
	h.Set("X-Per-Page", strconv.Itoa(size))
	if to < len(list) {
		h.Set("X-Next-Page", strconv.Itoa(number+1))
	}
	answer(w, http.StatusOK, out)
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func when(s string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s)
	return t
}

func (m MergeRequest) updated() time.Time {
	if m.UpdatedAt.IsZero() {
		return m.MergedAt
	}
	return m.UpdatedAt
}

func (m MergeRequest) json() map[string]any {
	out := map[string]any{
		"id": 9000 + m.IID, "iid": m.IID, "title": m.Title, "description": m.Description, "state": "opened",
		"source_branch": "topic", "target_branch": cmp.Or(m.Target, "main"), "labels": append([]string{}, m.Labels...),
		"author": person(m.Author), "merge_user": nil, "merged_at": nil, "updated_at": stamp(m.updated()), "created_at": stamp(m.updated()),
		"sha": m.SHA, "merge_commit_sha": nil, "web_url": "https://gitlab.example.com/x/-/merge_requests/" + strconv.FormatInt(m.IID, 10),
	}
	if !m.MergedAt.IsZero() {
		out["state"], out["merged_at"], out["merge_user"], out["merge_commit_sha"] = "merged", stamp(m.MergedAt), person(m.Author), m.SHA
	}
	return out
}

func (f File) json() map[string]any {
	return map[string]any{
		"old_path": cmp.Or(f.Old, f.New), "new_path": f.New, "a_mode": "100644", "b_mode": "100644", "diff": f.Diff,
		"new_file": f.Added, "deleted_file": f.Deleted, "renamed_file": f.Old != "" && f.Old != f.New,
		"collapsed": f.Collapsed, "too_large": f.TooLarge, "generated_file": f.Generated,
	}
}

func (c Commit) json() map[string]any {
	return map[string]any{
		"id": c.ID, "short_id": c.ID[:min(8, len(c.ID))], "title": c.Title, "message": cmp.Or(c.Message, c.Title),
		"author_name": c.Author, "author_email": "person@example.com", "committer_name": c.Author, "committer_email": "person@example.com",
		"authored_date": stamp(c.At), "committed_date": stamp(c.At), "created_at": stamp(c.At), "parent_ids": []string{},
	}
}

func (d Deployment) json() map[string]any {
	out := map[string]any{
		"id": 7000 + d.IID, "iid": d.IID, "ref": d.Ref, "sha": d.SHA, "status": d.Status, "created_at": stamp(d.At.Add(-time.Minute)), "updated_at": stamp(d.At),
		"user": person(d.User), "environment": map[string]any{"id": 1, "name": d.Environment}, "deployable": nil,
	}
	if d.Job {
		out["deployable"] = map[string]any{
			"id": 1, "status": d.Status, "finished_at": stamp(d.At),
			"commit": map[string]any{"id": d.SHA, "title": d.Title, "author_email": "person@example.com"},
			"runner": map[string]any{"id": 3, "token": "glrt-a-runner-token-that-must-not-leak"},
		}
	}
	return out
}

func person(name string) map[string]any {
	return map[string]any{"id": 1, "username": name, "name": name, "state": "active", "public_email": name + "@example.com"}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
