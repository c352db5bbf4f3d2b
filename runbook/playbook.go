package runbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// CatchAll is the name of the playbook for alerts that no other one matches.
const CatchAll = "unknown"

// A Playbook says what to check, what is safe and how urgent it is for one
// kind of alert. It is read from a Markdown file by [ParsePlaybook].
type Playbook struct {
	Name     string // of its file, without .md
	Title    string
	Category string   // one of [Categories]; policies refer to it
	Alerts   []string // globs over the alert's name, ignoring case
	Services []string // globs over the service and the object that the labels name
	Labels   []string // "key=glob": a label that decides at once, such as nodata=true

	// Symptom marks a playbook that knows what is seen (slow, crashing) but
	// not what fails. It gives way to one that knows the service.
	Symptom bool

	Severity       Urgency  // of a finding that is real
	FirstLook      []string // sources to look at first, of [Sources]
	AllowedActions []string // of [Actions]; empty: nothing may be changed
	AlwaysEscalate bool     // goes to a person, whatever is found
	Body           string   // Markdown after the front matter
}

// An Urgency is the severity of a real finding in each environment.
type Urgency struct{ Prod, Dev Severity }

// For returns the severity that holds in e; an unknown one is production.
func (u Urgency) For(e Env) Severity {
	if e.Strict() {
		return u.Prod
	}
	return u.Dev
}

// Categories are the words that a playbook and a policy may use.
func Categories() []string {
	return []string{
		"certificate", "database", "deployment", "ingestion", "monitoring", "node", "object-store",
		"security", "service", "storage", "tenant", "unknown", "vector-store", "workflow", "workload",
	}
}

// Sources are what a first look can gather.
func Sources() []string {
	return []string{
		"argocd", "deployments", "events", "history", "logs", "merges", "metrics", "nodes", "pods", "traces",
		"volumes", "workflows",
	}
}

// Actions are the only four changes that the session may make to a cluster.
func Actions() []string {
	return []string{"clear_stuck_workflow", "delete_stuck_pod", "refresh_argocd_app", "restart_deployment"}
}

// Page is what a sub-agent reads: the rules of the front matter in words, then
// the body.
func (p Playbook) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Playbook %s: %s\n\n", p.Name, p.Title)
	fmt.Fprintf(&b, "Category: %s. A real finding is %s on prod, %s on dev.\n", p.Category, p.Severity.Prod, p.Severity.Dev)
	fmt.Fprintf(&b, "Look first at: %s.\n", strings.Join(p.FirstLook, ", "))
	fmt.Fprintf(&b, "Actions that may be recommended: %s.\n", cmp.Or(strings.Join(p.AllowedActions, ", "), "none"))
	if p.AlwaysEscalate {
		b.WriteString("Always goes to a person, whatever is found.\n")
	}
	return b.String() + "\n" + p.Body
}

// Playbooks is the set that a session works with. The zero value matches
// nothing.
type Playbooks []Playbook

// Find returns the playbook of that name.
func (ps Playbooks) Find(name string) (Playbook, bool) {
	i := slices.IndexFunc(ps, func(p Playbook) bool { return p.Name == name })
	if i < 0 {
		return Playbook{}, false
	}
	return ps[i], true
}

// Names returns the names in their order.
func (ps Playbooks) Names() []string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.Name
	}
	return names
}
