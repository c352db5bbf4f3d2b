package runbook

import (
	"path"
	"strings"
)

// A Match selects alerts by shell globs that ignore case; an empty field
// matches everything. "*" also matches "/" here, since names are not paths.
type Match struct {
	Alert    string `yaml:"alert,omitempty"    json:"alert,omitempty"    jsonschema:"glob over the alert's name"`
	Service  string `yaml:"service,omitempty"  json:"service,omitempty"  jsonschema:"glob over the service"`
	Cluster  string `yaml:"cluster,omitempty"  json:"cluster,omitempty"  jsonschema:"glob over the cluster"`
	Category string `yaml:"category,omitempty" json:"category,omitempty" jsonschema:"category of the playbook: database, certificate, …"`
	Reason   string `yaml:"reason,omitempty"   json:"reason,omitempty"   jsonschema:"why, in words for people"`
}

// Empty reports whether m would match every alert.
func (m Match) Empty() bool {
	return m.Alert == "" && m.Service == "" && m.Cluster == "" && m.Category == ""
}

// Matches reports whether all set fields match. category is that of the
// alert's playbook, or "".
func (m Match) Matches(alert, service, cluster, category string) bool {
	return !m.Empty() && Glob(m.Alert, alert) && Glob(m.Service, service) &&
		Glob(m.Cluster, cluster) && Glob(m.Category, category)
}

// Glob reports whether s matches pattern, ignoring case. An empty pattern
// matches everything, a malformed one nothing.
func Glob(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	// path.Match lets * stop at a slash; names are not paths.
	flat := strings.NewReplacer("/", "\x00")
	ok, err := path.Match(flat.Replace(strings.ToLower(pattern)), flat.Replace(strings.ToLower(s)))
	return err == nil && ok
}

// ValidGlob returns an error if pattern is malformed.
func ValidGlob(pattern string) error {
	_, err := path.Match(pattern, "")
	return err
}

// A Policy is what the operator decided beforehand.
type Policy struct {
	ProtectedNamespaces []string
	KnownNoise          []Match
	EscalateAlways      []Match
}

// Noise returns the first known-noise rule that matches.
func (p Policy) Noise(alert, service, cluster, category string) (Match, bool) {
	return firstMatch(p.KnownNoise, alert, service, cluster, category)
}

// MustEscalate returns the first escalate-always rule that matches.
func (p Policy) MustEscalate(alert, service, cluster, category string) (Match, bool) {
	return firstMatch(p.EscalateAlways, alert, service, cluster, category)
}

func firstMatch(rules []Match, alert, service, cluster, category string) (Match, bool) {
	for _, m := range rules {
		if m.Matches(alert, service, cluster, category) {
			return m, true
		}
	}
	return Match{}, false
}
