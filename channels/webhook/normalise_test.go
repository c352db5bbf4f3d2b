package webhook_test

import (
	"testing"

	"watchkeeper/channels/webhook"
	"watchkeeper/config"
	"watchkeeper/runbook"
)

type labels = map[string]string

func TestServiceIsTheSubjectAndNotTheScraper(t *testing.T) {
	const ksm = "kube-state-metrics"
	tests := []struct {
		name   string
		labels labels
		want   string
	}{
		{"OpenTelemetry", labels{"service.name": "cart", "service": "x", "k8s.pod.name": "y-0"}, "cart"},
		{"OpenTelemetry through Prometheus", labels{"service_name": "cart"}, "cart"},
		{"an empty label is not there", labels{"service.name": " ", "app": "cart"}, "cart"},
		{"the recommended label", labels{"app_kubernetes_io_name": "cart"}, "cart"},
		{"a deployment", labels{"deployment": "cart", "container": "web"}, "cart"},
		{"a workload of OpenTelemetry", labels{"k8s_statefulset_name": "db"}, "db"},
		{"kube-state-metrics by job", labels{"job": ksm, "service": "monitoring-ksm", "container": "cart"}, "cart"},
		{"kube-state-metrics by service", labels{"service": "mon-" + ksm, "pod": "cart-7d9c5f9b4-x2x9q"}, "cart"},
		{"the scraper's own container", labels{"job": ksm, "container": ksm, "pod": ksm + "-7d9c5f9b4-x2x9q", "deployment": "cart"}, "cart"},
		{"exported labels", labels{"job": ksm, "container": ksm, "exported_container": "cart", "pod": ksm + "-7d9c5f9b4-x2x9q"}, "cart"},
		{"an exported pod", labels{"job": ksm, "pod": ksm + "-7d9c5f9b4-x2x9q", "exported_pod": "cart-0"}, "cart"},
		{"a node", labels{"job": "node-exporter", "pod": "node-exporter-x2x9q", "container": "node-exporter", "instance": "n1:9100"}, ""},
		{"the collector as service.name", labels{"service.name": "otel-collector", "pod": "cart-0"}, "cart"},
		{"kubelet knows the pod", labels{"job": "kubelet", "service": "kps-kubelet", "pod": "cart-0"}, "cart"},
		{"Prometheus about itself", labels{"job": "prometheus-k8s", "service": "prometheus-k8s", "pod": "prometheus-k8s-0"}, "prometheus-k8s"},
		{"a sidecar names no service", labels{"container": "istio-proxy", "pod": "cart-7d9c5f9b4-x2x9q"}, "cart"},
		{"a DaemonSet's pod", labels{"pod": "fluent-bit-x7k2p"}, "fluent-bit"},
		{"a CronJob's pod", labels{"pod": "backup-29384750-x2x9q"}, "backup"},
		{"a pod of its own", labels{"pod": "my-nginx"}, "my-nginx"},
		{"a word is no hash", labels{"pod": "orders-worker-proxy"}, "orders-worker-proxy"},
		{"a failed Job", labels{"job": ksm, "job_name": "backup-29384750"}, "backup"},
		{"the job at last", labels{"job": "shop/cart", "instance": "10.0.0.1:80"}, "cart"},
		{"a service of another kind beside the scraper", labels{"job": ksm, "service": "cart"}, "cart"},
		{"nothing", labels{"instance": "10.0.0.1:80", "queue": "q"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := alertWith(t, tt.labels).Service; got != tt.want {
				t.Errorf("service of %v = %q, want %q", tt.labels, got, tt.want)
			}
		})
	}
}

func TestClusterAndEnvironment(t *testing.T) {
	tests := []struct {
		name    string
		labels  labels
		cluster string
		env     runbook.Env
	}{
		{"by name", labels{"cluster": "platform-prod"}, "platform-prod", runbook.Prod},
		{"by alias", labels{"k8s.cluster.name": "Platform"}, "platform-prod", runbook.Prod},
		{"by context", labels{"k8s_cluster_name": "dev-par"}, "platform-dev", runbook.Dev},
		{"the configuration outranks a label", labels{"cluster": "platform-prod", "env": "dev"}, "platform-prod", runbook.Prod},
		{"an unknown cluster with a label", labels{"cluster": "elsewhere", "deployment_environment": "staging"}, "elsewhere", runbook.Dev},
		{"a composed label", labels{"environment": "eu-production-2"}, "", runbook.Prod},
		{"the strict word wins", labels{"environment": "test-prod"}, "", runbook.Prod},
		{"nothing", labels{}, "", runbook.EnvUnknown},
		{"a strange label", labels{"env": "blue"}, "", runbook.EnvUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := alertWith(t, tt.labels)
			if a.Cluster != tt.cluster || a.Env != tt.env {
				t.Errorf("place of %v = %q, %s; want %q, %s", tt.labels, a.Cluster, a.Env, tt.cluster, tt.env)
			}
		})
	}
}

func TestNameAndFlags(t *testing.T) {
	tests := []struct {
		name         string
		labels       labels
		want         string
		noData, test bool
	}{
		{"plain", labels{"alertname": "X"}, "X", false, false},
		{"Grafana without data", labels{"alertname": "DatasourceNoData", "rulename": "X"}, "X", true, false},
		{"Grafana with an error", labels{"alertname": "DatasourceError", "rulename": "X"}, "X", true, false},
		{"a rule name beside", labels{"alertname": "X", "rulename": "Y"}, "X", false, false},
		{"SigNoz without data", labels{"alertname": "[No data] X"}, "[No data] X", true, false},
		{"SigNoz without data by its label", labels{"alertname": "X", "nodata": "true"}, "X", true, false},
		{"SigNoz's channel test", labels{"alertname": "Test Alert (hook)"}, "Test Alert (hook)", false, true},
		{"SigNoz's rule test", labels{"alertname": "X_TEST_ALERT"}, "X_TEST_ALERT", false, true},
		{"SigNoz's rule test by its label", labels{"alertname": "X", "testalert": "true"}, "X", false, true},
		{"Grafana's test", labels{"alertname": "TestAlert"}, "TestAlert", false, true},
		{"a name that only looks like one", labels{"alertname": "Test Alert pipeline"}, "Test Alert pipeline", false, false},
		{"no name", labels{}, "Unnamed alert", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := alertWith(t, tt.labels)
			if a.Name != tt.want || a.NoData != tt.noData || a.Test != tt.test {
				t.Errorf("%v = %q, no data %v, test %v; want %q, %v, %v", tt.labels, a.Name, a.NoData, a.Test, tt.want, tt.noData, tt.test)
			}
		})
	}
}

func TestSeverityAndNamespace(t *testing.T) {
	tests := []struct {
		name      string
		labels    labels
		severity  runbook.Severity
		raw       string
		namespace string
	}{
		{"plain", labels{"severity": "Critical", "namespace": "shop"}, runbook.Critical, "Critical", "shop"},
		{"a threshold", labels{"threshold.name": "warning", "k8s.namespace.name": "shop"}, runbook.Warning, "warning", "shop"},
		{"a priority", labels{"priority": "P1", "kubernetes_namespace": "shop"}, runbook.Critical, "P1", "shop"},
		{"a word of the sender's own", labels{"severity": "ouch"}, runbook.SeverityUnknown, "ouch", ""},
		{"the subject's namespace", labels{"namespace": "monitoring", "exported_namespace": "shop"}, runbook.SeverityUnknown, "", "shop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := alertWith(t, tt.labels)
			if a.Severity != tt.severity || a.SeverityRaw != tt.raw || a.Namespace != tt.namespace {
				t.Errorf("%v = %s (%s), namespace %q; want %s (%s), %q",
					tt.labels, a.Severity, a.SeverityRaw, a.Namespace, tt.severity, tt.raw, tt.namespace)
			}
		})
	}
}

func TestFingerprints(t *testing.T) {
	same := func(a, b runbook.Alert) bool { return a.Fingerprint == b.Fingerprint }
	noData := func(seen, rule string) runbook.Alert {
		return alertWith(t, labels{"alertname": "[No data] X", "nodata": "true", "lastSeen": seen, "ruleId": rule})
	}
	if !same(noData("11:42", "1"), noData("11:43", "1")) {
		t.Error("a no-data alert is another one because lastSeen moved on")
	}
	if same(noData("11:42", "1"), noData("11:42", "2")) {
		t.Error("no-data alerts of two rules are the same")
	}
	if same(alertWith(t, labels{"a": "bc"}), alertWith(t, labels{"ab": "c"})) {
		t.Error("label sets that read the same when joined are the same")
	}
	b := decode(t, `{"alerts":[{"annotations":{"summary":"one"}},{"annotations":{"summary":"two"}}]}`)
	if same(b.Alerts[0], b.Alerts[1]) {
		t.Error("alerts without labels are the same, though their annotations differ")
	}
}

func TestConfiguredKeysReplaceTheDefaults(t *testing.T) {
	n := webhook.NewNormalizer(config.Webhook{
		NameKeys: []string{"check"}, ServiceKeys: []string{"team.app", "owner"}, SeverityKeys: []string{"urgency"},
		ClusterKeys: []string{"site"}, NamespaceKeys: []string{"space"}, EnvironmentKeys: []string{"tier"},
	}, nil)
	b, err := webhook.Decode([]byte(`{"version":"4","alerts":[{"labels":{"alertname":"X","service":"s","severity":"info","check":"C","team_app":"A",
		"urgency":"high","site":"S","space":"N","tier":"dev"},"annotations":{"owner":"nobody"}}]}`), "", "", received, n)
	if err != nil {
		t.Fatal(err)
	}
	a := b.Alerts[0]
	got := []string{a.Name, a.Service, a.SeverityRaw, a.Cluster, a.Namespace, string(a.Env)}
	want := []string{"C", "A", "high", "S", "N", "dev"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("alert = %q, want %q", got, want)
			break
		}
	}
}
