package webhook

import (
	"slices"
	"strings"
)

// Default orders. The key that is most surely about the subject of the alert
// comes first; exported_x is the subject's x where the scraper has one too.
var (
	nameKeys     = []string{"alertname", "rulename", "rule_name", "alert_name", "alert", "title", "summary"}
	severityKeys = []string{
		"severity", "threshold.name", "priority", "level", "severity_text", "alert_severity", "criticality", "urgency",
	}
	serviceKeys = []string{
		"service.name", "exported_service", "service", "app", "app.kubernetes.io/name",
		"deployment", "k8s.deployment.name", "statefulset", "k8s.statefulset.name", "daemonset", "k8s.daemonset.name",
		"cronjob", "k8s.cronjob.name", "exported_container", "container", "k8s.container.name", "container_name",
	}
	clusterKeys = []string{
		"k8s.cluster.name", "cluster", "cluster_name", "kubernetes_cluster", "kube_cluster", "context", "k8s_context",
	}
	namespaceKeys = []string{
		"exported_namespace", "namespace", "k8s.namespace.name", "kubernetes_namespace", "kube_namespace",
	}
	environmentKeys = []string{
		"deployment.environment.name", "deployment.environment", "environment", "env", "stage",
	}
)

// A keyList is an ordered list of label keys, each with the ways it is
// spelled: OpenTelemetry's k8s.cluster.name reaches us as k8s_cluster_name
// when it came through Prometheus.
type keyList [][]string

func newKeyList(keys, defaults []string) keyList {
	if len(keys) == 0 {
		keys = defaults
	}
	list := make(keyList, len(keys))
	for i, key := range keys {
		list[i] = spellings(key)
	}
	return list
}

func spellings(key string) []string {
	all := []string{key}
	for _, other := range []string{
		strings.NewReplacer(".", "_", "/", "_", "-", "_").Replace(key),
		strings.ReplaceAll(key, "_", "."),
	} {
		if !slices.Contains(all, other) {
			all = append(all, other)
		}
	}
	return all
}

// find returns the first value that is present, labels before annotations, at
// most maxName bytes long, or "".
func (l keyList) find(raw *rawAlert) string {
	if v := l.first(raw.labels, present); v != "" {
		return v
	}
	return l.first(raw.annotations, present)
}

func present(_, value string) bool { return value != "" }

// first returns the first value of m that ok accepts, without surrounding
// space, or "". The key is handed to ok as the list has it.
func (l keyList) first(m map[string]string, ok func(key, value string) bool) string {
	if len(m) == 0 {
		return ""
	}
	for _, spelled := range l {
		for _, key := range spelled {
			v, there := m[key]
			if !there {
				continue
			}
			if v = strings.TrimSpace(v); ok(spelled[0], v) {
				return strings.TrimSpace(cut(v, maxName))
			}
		}
	}
	return ""
}
