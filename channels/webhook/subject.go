package webhook

import (
	"slices"
	"strings"
)

// scrapers name the programs that measure others. Their job, service and
// container labels say who measured, not what is ill.
var scrapers = []string{
	"kube-state-metrics", "node-exporter", "kubelet", "cadvisor", "prometheus", "alertmanager", "blackbox-exporter",
	"pushgateway", "otel-collector", "opentelemetry-collector", "vmagent", "metrics-server",
}

// sidecars are containers that run beside the one a service is named after, or
// are called the same in every pod.
var sidecars = []string{
	"istio-proxy", "istio-init", "linkerd-proxy", "linkerd-init", "envoy", "cloud-sql-proxy", "vault-agent",
	"POD", "main", "wait", "init", "sidecar", "app", "server",
}

// serviceOf returns what the alert is about, or "". Labels come first, then
// the workload that the pod's name gives away, then the Prometheus job.
func (n *Normalizer) serviceOf(raw *rawAlert) string {
	l := raw.labels
	scraped := scraper(l["job"]) || scraper(l["service"])
	v := n.service.first(l, func(key, v string) bool {
		switch {
		case v == "" || scraper(v) || (scraped && key == "service"):
			return false
		case strings.Contains(key, "container") && slices.Contains(sidecars, v):
			return false
		}
		return true
	})
	if v != "" {
		return v
	}
	if w := workload(l); w != "" && !scraper(w) {
		return w
	}
	if job := l["job"]; job != "" && !scraped {
		return job[strings.LastIndexByte(job, '/')+1:]
	}
	if v := n.service.first(raw.annotations, present); v != "" {
		return v
	}
	return itself(l)
}

// itself returns the scraper where the alert can only be about it: Prometheus
// and Alertmanager report on themselves, the others on what they look at.
func itself(l map[string]string) string {
	for _, key := range []string{"service", "job"} {
		v := l[key]
		own := strings.HasPrefix(v, "prometheus") || strings.HasPrefix(v, "alertmanager")
		other := strings.Contains(v, "exporter") || strings.Contains(v, "kube-state-metrics")
		if v != "" && ((own && !other) || !scraper(v)) {
			return v
		}
	}
	return ""
}

// scraper reports whether v names one, also with a release's prefix or a
// suffix, as in "monitoring-kube-state-metrics" and "prometheus-k8s".
func scraper(v string) bool {
	v = strings.ReplaceAll(strings.ToLower(v), "_", "-")
	v = v[strings.LastIndexByte(v, '/')+1:]
	for _, s := range scrapers {
		if v == s || strings.HasPrefix(v, s+"-") || strings.HasSuffix(v, "-"+s) {
			return true
		}
	}
	return false
}

// workload derives the controller's name from a pod's, or a CronJob's from its
// Job's.
func workload(l map[string]string) string {
	for _, key := range []string{"exported_pod", "pod", "k8s.pod.name", "k8s_pod_name", "pod_name", "kubernetes_pod_name"} {
		if pod := l[key]; pod != "" {
			return podOwner(pod)
		}
	}
	for _, key := range []string{"job_name", "k8s.job.name", "k8s_job_name"} {
		if job := l[key]; job != "" {
			return jobOwner(job)
		}
	}
	return ""
}

// podOwner strips what controllers append: "-7d9c5f9b4-x2x9q" of a Deployment
// (or "-29384750-x2x9q" of a CronJob), "-x2x9q" of a DaemonSet or Job, "-0" of
// a StatefulSet.
func podOwner(pod string) string {
	rest, last := splitLast(pod)
	if rest == "" {
		return pod
	}
	if digits(last) && len(last) <= 3 {
		return rest
	}
	owner, hash := splitLast(rest)
	if owner != "" && random(last, 5, 5) && random(hash, 5, 10) {
		return owner
	}
	if len(last) == 5 && safe(last) {
		return rest
	}
	return pod
}

// jobOwner strips the scheduled minute that a CronJob appends.
func jobOwner(job string) string {
	if rest, last := splitLast(job); rest != "" && len(last) >= 8 && digits(last) {
		return rest
	}
	return job
}

func splitLast(s string) (rest, last string) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// random reports whether s may be generated: the right length, lower case and
// digits, and not a word.
func random(s string, shortest, longest int) bool {
	return len(s) >= shortest && len(s) <= longest && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == "" &&
		(strings.ContainsAny(s, "0123456789") || safe(s))
}

// safe reports whether s has only characters that Kubernetes generates names
// of: no vowels, and nothing that looks like one.
func safe(s string) bool { return strings.Trim(s, "bcdfghjklmnpqrstvwxz2456789") == "" }

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
