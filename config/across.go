package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CheckListen returns an error if other machines reach the intake and nobody
// has to prove who they are. It is for whoever is about to listen: [Load] does
// not ask, because the programs of the session are not given the secrets of the
// intake.
func (c Config) CheckListen() error {
	if loopback(c.Listen) || c.Secrets.WebhookToken.Set() || c.Secrets.WebhookHMAC.Set() {
		return nil
	}
	return fmt.Errorf("listen: %s can be reached from other machines, so senders must prove themselves; "+
		"want WATCHKEEPER_WEBHOOK_TOKEN or WATCHKEEPER_WEBHOOK_HMAC_SECRET to be set, or an address on 127.0.0.1", shown(c.Listen))
}

// across checks the rules that need more than one value.
func (d *document) across(c Config) {
	if o := c.OnCall; o.Second != "" && o.Second == o.SlackUser {
		d.wrong(d.lines["oncall.second"], "oncall.second", "is the person of slack_user again; want another or none")
	}
	if r := c.Retention; r.IncidentDays < r.RawDays {
		d.wrong(d.lines["retention.incident_days"], "retention.incident_days", "%d days are fewer than the %d of raw_days; want an incident to live as long as its texts", r.IncidentDays, r.RawDays)
	}
	d.clusters(c.Clusters)
}

// clusters reports names and aliases that two clusters claim. Case does not
// matter, since it does not where labels are matched.
func (d *document) clusters(clusters map[string]Cluster) {
	owner := map[string]string{}
	names := slices.Collect(maps.Keys(clusters))
	slices.SortFunc(names, func(a, b string) int { return d.lines["clusters."+a] - d.lines["clusters."+b] })
	for _, name := range names {
		d.claim(owner, name, name, "clusters."+name)
	}
	for _, name := range names {
		for i, alias := range clusters[name].Aliases {
			d.claim(owner, alias, name, fmt.Sprintf("clusters.%s.aliases[%d]", name, i))
		}
	}
}

func (d *document) claim(owner map[string]string, word, cluster, path string) {
	key := strings.ToLower(strings.TrimSpace(word))
	other, taken := owner[key]
	switch {
	case key == "":
	case !taken:
		owner[key] = cluster
	case other == cluster:
		d.wrong(d.lines[path], path, "%s means this cluster already; want it once", shown(word))
	default:
		d.wrong(d.lines[path], path, "%s means the cluster %s already; want each name and alias in one cluster", shown(word), other)
	}
}
