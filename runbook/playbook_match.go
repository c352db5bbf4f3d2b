package runbook

import (
	"cmp"
	"slices"
	"strings"
)

// Match returns the playbook for an alert, false if not even [CatchAll] is
// there. In this order:
//
//  1. A label that a playbook lists decides: the sender states a fact.
//  2. Else the alert's name, with the most specific glob: the one with the
//     longest run of characters between wildcards. A name that says what fails
//     ("etcdHighNumberOfFailedGRPCRequests") goes before a symptom in it.
//  3. If the name says nothing, or only a symptom, a playbook that knows the
//     service: a slow or crashing database is a database matter.
//  4. Else the symptom, else the catch-all.
//
// service may be "", labels nil.
func (ps Playbooks) Match(alert, service string, labels map[string]string) (Playbook, bool) {
	if p, ok := ps.best(func(p Playbook) weight { return labelWeight(p.Labels, labels) }); ok {
		return p, true
	}
	byName := func(symptom bool) (Playbook, bool) {
		return ps.best(func(p Playbook) weight {
			if p.Symptom != symptom {
				return weight{}
			}
			return globWeight(p.Alerts, alert)
		})
	}
	if p, ok := byName(false); ok {
		return p, true
	}
	if p, ok := ps.byService(subjects(service, labels)); ok {
		return p, true
	}
	if p, ok := byName(true); ok {
		return p, true
	}
	return ps.Find(CatchAll)
}

// byService returns the playbook that knows one of names best. One that knows
// only a symptom knows no service.
func (ps Playbooks) byService(names []string) (Playbook, bool) {
	return ps.best(func(p Playbook) weight {
		if p.Symptom {
			return weight{}
		}
		return heaviest(names, func(n string) weight { return globWeight(p.Services, n) })
	})
}

// A weight says how specific a match is; the zero weight is no match.
type weight struct{ run, total int }

func (w weight) compare(v weight) int {
	return cmp.Or(cmp.Compare(w.run, v.run), cmp.Compare(w.total, v.total))
}

// best returns the playbook of the greatest weight; of equals the first.
func (ps Playbooks) best(of func(Playbook) weight) (found Playbook, ok bool) {
	var most weight
	for _, p := range ps {
		if w := of(p); w.compare(most) > 0 {
			most, found, ok = w, p, true
		}
	}
	return found, ok
}

func globWeight(globs []string, s string) weight {
	return heaviest(globs, func(g string) weight {
		if !Glob(g, s) {
			return weight{}
		}
		return literals(g)
	})
}

func labelWeight(rules []string, labels map[string]string) weight {
	return heaviest(rules, func(r string) weight {
		key, glob, _ := strings.Cut(r, "=")
		if v, ok := labels[key]; !ok || !Glob(glob, v) {
			return weight{}
		}
		return literals(r)
	})
}

func heaviest(of []string, weigh func(string) weight) weight {
	var most weight
	for _, s := range of {
		if w := weigh(s); w.compare(most) > 0 {
			most = w
		}
	}
	return most
}

// literals weighs a glob by its characters that are no wildcards. A class
// counts as a wildcard.
func literals(glob string) weight {
	var w weight
	run, class, escaped := 0, false, false
	for _, r := range glob {
		switch {
		case class:
			class = r != ']'
		case !escaped && r == '\\':
			escaped = true
			continue
		case !escaped && (r == '*' || r == '?' || r == '['):
			run, class = 0, r == '['
		default:
			run, w.total = run+1, w.total+1
			w.run = max(w.run, run)
		}
		escaped = false
	}
	return w
}

// subjects are the names under which an alert may speak of a service. A
// scraper's own job label is none of them.
func subjects(service string, labels map[string]string) []string {
	var names []string
	keys := [...]string{
		"service.name", "service_name", "app", "app.kubernetes.io/name", "deployment", "statefulset",
		"pod", "container", "k8s.deployment.name", "k8s.statefulset.name", "k8s.pod.name", "k8s.container.name", "db.system",
	}
	for _, n := range append([]string{service}, valuesOf(labels, keys[:])...) {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

func valuesOf(labels map[string]string, keys []string) []string {
	values := make([]string, 0, len(keys))
	for _, k := range keys {
		values = append(values, labels[k])
	}
	return values
}
