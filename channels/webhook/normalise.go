package webhook

import (
	"slices"
	"strings"
	"time"

	"watchkeeper/config"
	"watchkeeper/runbook"
)

// A Normalizer turns the labels of senders into the words of [runbook.Alert].
// It never changes, so that it may be used concurrently.
type Normalizer struct {
	name, severity, service, cluster, namespace, env keyList

	clusters map[string]string      // lower-case name, alias or context → configured name
	envs     map[string]runbook.Env // by configured name

	heartbeats []string // names of alerts
}

// NewNormalizer returns a Normalizer that looks labels up in the order of w
// and knows clusters by their names, aliases and contexts, ignoring case.
func NewNormalizer(w config.Webhook, clusters map[string]config.Cluster) *Normalizer {
	n := &Normalizer{
		name:      newKeyList(w.NameKeys, nameKeys),
		severity:  newKeyList(w.SeverityKeys, severityKeys),
		service:   newKeyList(w.ServiceKeys, serviceKeys),
		cluster:   newKeyList(w.ClusterKeys, clusterKeys),
		namespace: newKeyList(w.NamespaceKeys, namespaceKeys),
		env:       newKeyList(w.EnvironmentKeys, environmentKeys),
		clusters:  map[string]string{},
		envs:      map[string]runbook.Env{},

		heartbeats: w.HeartbeatAlerts,
	}
	if len(n.heartbeats) == 0 {
		n.heartbeats = []string{"Watchdog"} // kube-prometheus calls it so
	}
	names := make([]string, 0, len(clusters))
	for name, c := range clusters {
		names = append(names, name)
		n.envs[name] = c.Env
	}
	slices.Sort(names)
	// A name beats an alias beats a context, whatever the order of the file.
	for _, name := range names {
		n.know(name, name)
	}
	for _, name := range names {
		for _, alias := range clusters[name].Aliases {
			n.know(alias, name)
		}
	}
	for _, name := range names {
		n.know(clusters[name].Context, name)
	}
	return n
}

func (n *Normalizer) know(word, cluster string) {
	word = strings.ToLower(strings.TrimSpace(word))
	if _, taken := n.clusters[word]; !taken && word != "" {
		n.clusters[word] = cluster
	}
}

// alert normalises one alert of env.
func (n *Normalizer) alert(raw *rawAlert, env *envelope, source string, receivedAt time.Time) runbook.Alert {
	a := runbook.Alert{
		Source:       source,
		StartsAt:     timeOf(raw.startsAt),
		Labels:       raw.labels,
		Annotations:  raw.annotations,
		GeneratorURL: raw.generatorURL,
		Name:         n.nameOf(raw),
		SeverityRaw:  n.severity.find(raw),
		Service:      n.serviceOf(raw),
		Namespace:    n.namespace.find(raw),
		NoData:       noData(raw),
		Test:         isTest(raw),
	}
	if a.Labels == nil {
		a.Labels = map[string]string{}
	}
	if a.Annotations == nil {
		a.Annotations = map[string]string{}
	}
	a.Severity = runbook.ParseSeverity(a.SeverityRaw)
	a.Cluster, a.Env = n.place(raw)
	a.Status, a.EndsAt = statusOf(raw, env, receivedAt)
	a.Heartbeat = slices.Contains(n.heartbeats, a.Name)
	a.Fingerprint = fingerprint(raw, a)
	return a
}

// nameOf returns the name of the rule. Grafana reports a rule without data, or
// with an error, under a name of its own and the rule's in a label.
func (n *Normalizer) nameOf(raw *rawAlert) string {
	if datasource(raw) {
		if rule := raw.labels["rulename"]; rule != "" {
			return cut(rule, maxName)
		}
	}
	if name := n.name.find(raw); name != "" {
		return name
	}
	return "Unnamed alert"
}

// place returns the cluster and its kind. The configuration outranks what a
// label says about the environment: labels are written by others.
func (n *Normalizer) place(raw *rawAlert) (string, runbook.Env) {
	cluster := n.cluster.find(raw)
	if name, ok := n.clusters[strings.ToLower(cluster)]; ok {
		cluster = name
	}
	if env := n.envs[cluster]; env == runbook.Prod || env == runbook.Dev {
		return cluster, env
	}
	return cluster, envOf(n.env.find(raw))
}

// envOf reads an environment label, also one such as "prod-eu1". If it names
// several kinds, the strict one wins.
func envOf(label string) runbook.Env {
	env := runbook.ParseEnv(label)
	if env != runbook.EnvUnknown {
		return env
	}
	for _, word := range strings.FieldsFunc(label, func(r rune) bool { return strings.ContainsRune("-_./: ", r) }) {
		switch runbook.ParseEnv(word) {
		case runbook.Prod:
			return runbook.Prod
		case runbook.Dev:
			env = runbook.Dev
		}
	}
	return env
}

// statusOf reads the alert's own status: one body mixes both. Without one, the
// envelope's word for "all are resolved" counts, then the end.
func statusOf(raw *rawAlert, env *envelope, now time.Time) (runbook.Status, time.Time) {
	end := timeOf(raw.endsAt)
	over := !end.IsZero() && !end.After(now)
	switch strings.ToLower(raw.status) {
	case "resolved":
		return runbook.Resolved, end
	case "":
		if over || (end.IsZero() && strings.EqualFold(env.status, "resolved")) {
			return runbook.Resolved, end
		}
	}
	return runbook.Firing, time.Time{}
}

// fingerprint returns the identity of the label set. That of a no-data alert
// of SigNoz hashes lastSeen, which changes, so ours replaces it.
func fingerprint(raw *rawAlert, a runbook.Alert) string {
	_, changing := raw.labels["lastSeen"]
	switch {
	case a.NoData && changing:
		return hashOf(pairs(raw.labels, "lastSeen")...)
	case raw.fingerprint != "" && len(raw.fingerprint) <= 128:
		return raw.fingerprint
	case raw.fingerprint != "":
		return hashOf(raw.fingerprint)
	case len(raw.labels) > 0:
		return hashOf(pairs(raw.labels)...)
	}
	// Without labels all alerts would be one.
	return hashOf(append(pairs(raw.annotations), raw.generatorURL)...)
}

const noDataPrefix = "[No data] "

func noData(raw *rawAlert) bool {
	return strings.EqualFold(raw.labels["nodata"], "true") ||
		strings.HasPrefix(raw.labels["alertname"], noDataPrefix) || datasource(raw)
}

// datasource reports Grafana's two alerts about a rule that it cannot
// evaluate.
func datasource(raw *rawAlert) bool {
	name := raw.labels["alertname"]
	return name == "DatasourceNoData" || name == "DatasourceError"
}

func isTest(raw *rawAlert) bool {
	name := raw.labels["alertname"]
	return strings.EqualFold(raw.labels["testalert"], "true") ||
		strings.HasPrefix(name, "Test Alert (") || strings.HasSuffix(name, "_TEST_ALERT") || name == "TestAlert"
}
