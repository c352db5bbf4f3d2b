package runbook_test

import (
	"os"
	"testing"

	"watchkeeper/runbook"
)

// ours loads the playbooks that Watchkeeper comes with.
func ours(tb testing.TB) runbook.Playbooks {
	tb.Helper()
	ps, err := runbook.LoadPlaybooks(os.DirFS("../playbooks"))
	if err != nil {
		tb.Fatalf("LoadPlaybooks: %v", err)
	}
	return ps
}

// TestAlertsThatPeopleHaveFindTheirPlaybook lists names as kube-prometheus,
// the usual community rules, SigNoz and Argo send them, and as people write
// them.
func TestAlertsThatPeopleHaveFindTheirPlaybook(t *testing.T) {
	ps := ours(t)
	tests := map[string][]string{
		"pod-crash-loop": {
			"KubePodCrashLooping", "KubernetesPodCrashLooping", "Pod CrashLooping", "Pod CrashLoopBackOff",
			"container restarts high", "Frequent pod restarts",
		},
		"workload-not-ready": {
			"KubePodNotReady", "KubeContainerWaiting", "KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck",
			"KubeStatefulSetReplicasMismatch", "KubeStatefulSetUpdateNotRolledOut", "KubeDaemonSetNotScheduled", "KubeHpaMaxedOut",
			"KubePdbNotEnoughHealthyPods", "KubernetesDeploymentReplicasMismatch", "KubernetesPodNotHealthy", "Pods pending",
			"ImagePullBackOff in prod", "KubernetesReplicasetReplicasMismatch", "KubernetesStatefulsetDown", "KubernetesHpaScaleMaximum",
		},
		"oom-killed": {
			"KubeContainerOOMKilled", "KubernetesContainerOomKiller", "Pod OOMKilled", "ContainerHighMemoryUsage",
			"Memory usage above 90%", "Container memory limit reached",
		},
		"resource-saturation": {
			"CPUThrottlingHigh", "KubeCPUOvercommit", "KubeMemoryOvercommit", "KubeQuotaAlmostFull",
			"KubeQuotaExceeded", "ContainerHighCpuUtilization", "CPU above 80%", "High CPU", "K8s pod CPU usage",
		},
		"high-error-rate": {
			"High Error Rate", "HighErrorRate", "Error rate above 5%", "HTTP 5xx on checkout", "5xx rate",
			"Exception count", "Error count in logs", "ErrorBudgetBurn", "HighRequestFailureRate", "SLO burn rate", "Panics in service",
		},
		"high-latency": {
			"High Latency", "HighLatency", "p99 latency", "P95 above 2s", "API slow", "Response time degraded",
			"HighRequestDuration", "Request timeout",
		},
		"service-down": {
			"BlackboxProbeFailed", "BlackboxProbeHttpFailure", "InstanceDown", "Service down", "Endpoint unreachable",
			"Health check failing", "Uptime check failed", "Service unavailable",
		},
		"argocd-app": {
			"ArgoCdAppOutOfSync", "ArgoCdAppUnhealthy", "ArgoAppNotSynced", "ArgocdServiceNotSynced", "ArgocdServiceUnhealthy",
			"ArgoCD Out-of-Sync", "Argo CD application degraded", "Application OutOfSync", "app sync failed",
		},
		"pvc-capacity": {
			"KubePersistentVolumeFillingUp", "KubePersistentVolumeInodesFillingUp", "KubePersistentVolumeErrors",
			"KubernetesVolumeFullInFourDays", "KubernetesVolumeOutOfDiskSpace", "KubernetesPersistentvolumeclaimPending",
			"PVC at 87%", "PVC usage high", "Disk usage above 90%", "disk full",
		},
		"postgresql": {
			"PostgreSQLDown", "PostgresqlTooManyConnections", "PostgresqlReplicationLag", "PostgreSQLMaxConnectionsReached",
			"CNPGClusterHighConnectionsCritical", "LongRunningTransaction", "PGReplication", "Database connections exhausted",
			"Replication lag", "Deadlocks", "Database error", "DB errors", "MysqlDown", "MongodbDown", "RedisDown", "Connection pool exhausted",
		},
		"object-store": {
			"MinioClusterDiskOffline", "MinioNodesOffline", "MinIO drive offline", "S3 errors", "Bucket quota",
			"Object store unavailable",
		},
		"vector-store": {"QdrantDown", "Qdrant collection red", "Vector search errors", "vector db latency"},
		"argo-workflows": {
			"ArgoWorkflowFailed", "Argo Workflow stuck", "Workflow failed", "KubeJobFailed", "KubeJobNotCompleted",
			"KubernetesJobFailed", "KubernetesCronjobTooLong", "Pipeline failed", "Cron job missed",
		},
		"certificates-mtls": {
			"CertManagerCertExpirySoon", "CertManagerCertNotReady", "CertManagerAbsent", "Certificate expires in 7 days",
			"KubeClientCertificateExpiration", "KubeletServerCertificateExpiration", "KubeletServerCertificateRenewalErrors",
			"BlackboxSslCertificateWillExpireSoon", "mTLS handshake failures", "x509 errors", "Skupper link down", "TLS handshake timeout",
			"SSL certificate expired",
		},
		"node-problems": {
			"KubeNodeNotReady", "KubeNodeUnreachable", "KubeNodeReadinessFlapping", "KubeNodePressure", "KubeNodeEviction",
			"KubeletTooManyPods", "KubeletDown", "KubeletPodStartUpLatencyHigh", "NodeFilesystemSpaceFillingUp",
			"NodeFilesystemAlmostOutOfSpace", "NodeMemoryHighUtilization", "NodeCPUHighUsage", "NodeClockNotSynchronising",
			"NodeSystemdServiceFailed", "NodeSystemdServiceCrashlooping", "NodeRAIDDegraded", "NodeBondingDegraded",
			"NodeDiskIOSaturation", "HostOutOfMemory", "HostHighCpuLoad", "HostOutOfDiskSpace", "KubernetesNodeNotReady",
			"KubernetesMemoryPressure", "Node not ready",
		},
		"control-plane": {
			"etcdMembersDown", "etcdHighNumberOfFailedGRPCRequests", "etcdHighFsyncDurations", "KubeAPIDown",
			"KubeAPIErrorBudgetBurn", "KubeAPITerminatedRequests", "KubeAggregatedAPIDown", "KubeSchedulerDown", "KubeProxyDown",
			"KubeVersionMismatch", "KubeClientErrors", "CoreDNSDown", "CorednsPanicCount", "DNS failures", "IstioPilotPushErrors",
			"KubernetesApiServerErrors",
		},
		"tenant-inactive": {
			"Tenant Inactive", "TenantInactive", "Tenant heartbeat missing", "Login failures", "Auth failures",
			"401 spike", "Unauthorized requests", "AuthenticationFailures",
		},
		"queue-ingestion": {
			"Queue depth", "Consumer lag", "KafkaConsumerLag", "RabbitmqTooManyUnackMessages", "Ingestion stalled",
			"Dead letter queue grows", "Backlog growing",
		},
		"monitoring": {
			"Watchdog", "InfoInhibitor", "TargetDown", "DatasourceNoData", "DatasourceError", "[No data] High Latency",
			"PrometheusRuleFailures", "PrometheusTargetMissing", "PrometheusNotificationQueueRunningFull", "PrometheusDuplicateTimestamps",
			"AlertmanagerFailedToSendAlerts", "AlertmanagerClusterDown", "ConfigReloaderSidecarErrors", "KubeStateMetricsListErrors",
			"KubeStateMetricsWatchErrors", "Test Alert (oncall)", "High Latency_TEST_ALERT", "OtelCollector dropping spans",
			"PrometheusOperatorListErrors", "NodeTextFileCollectorScrapeError", "SigNoz ingestion down",
		},
		"unknown": {"", "Frobnicator frozen", "hello", "test", "FOO", "CustomAlert7"},
	}
	for want, names := range tests {
		for _, name := range names {
			t.Run(want+"/"+name, func(t *testing.T) {
				if got, ok := ps.Match(name, "", nil); !ok || got.Name != want {
					t.Errorf("Match(%q) = %q, want %q", name, got.Name, want)
				}
			})
		}
	}
}

func TestServiceAndLabelsDecideWhereTheNameIsASymptom(t *testing.T) {
	ps := ours(t)
	tests := []struct {
		name, alert, service string
		labels               map[string]string
		want                 string
	}{
		{"slow database is a database matter", "High Latency", "orders-postgres", nil, "postgresql"},
		{"crashing vector store", "KubePodCrashLooping", "qdrant", nil, "vector-store"},
		{"the pod tells when the service does not", "KubePodCrashLooping", "", map[string]string{"pod": "minio-pool-0-1"}, "object-store"},
		{"the driver's label tells", "High Error Rate", "orders-api", map[string]string{"db.system": "postgresql"}, "postgresql"},
		{"an unknown name with a known service", "Something odd", "skupper-router", nil, "certificates-mtls"},
		{"a name that says what fails goes before the service", "CertManagerCertNotReady", "postgres-tls", nil, "certificates-mtls"},
		{"the scraper's job is no subject", "KubePodCrashLooping", "cart", map[string]string{"job": "kube-state-metrics"}, "pod-crash-loop"},
		{"no data is a fact of the sender", "PostgreSQLDown", "postgres", map[string]string{"nodata": "true"}, "monitoring"},
		{"so is the button", "High Latency", "cart", map[string]string{"testalert": "true"}, "monitoring"},
		{"a label with another value is none", "High Latency", "cart", map[string]string{"nodata": "false"}, "high-latency"},
		{"case does not matter", "high LATENCY", "CART", nil, "high-latency"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := ps.Match(tt.alert, tt.service, tt.labels); !ok || got.Name != tt.want {
				t.Errorf("Match(%q, %q, %v) = %q, want %q", tt.alert, tt.service, tt.labels, got.Name, tt.want)
			}
		})
	}
}

func TestWithoutACatchAllNothingMatches(t *testing.T) {
	for _, ps := range []runbook.Playbooks{nil, {{Name: "a", Alerts: []string{"a*"}}}} {
		if p, ok := ps.Match("zebra", "", nil); ok {
			t.Errorf("%d playbooks: Match(zebra) = %q, want none", len(ps), p.Name)
		}
	}
}

func TestAmbiguousMatchesAreStable(t *testing.T) {
	ps := runbook.Playbooks{{Name: "b", Alerts: []string{"*disk*"}}, {Name: "a", Alerts: []string{"disk*"}}}
	for range 20 {
		if p, _ := ps.Match("disk", "", nil); p.Name != "b" {
			t.Fatalf("Match(disk) = %q, want the first of equals", p.Name)
		}
	}
}

func TestUrgencyOfAnUnknownEnvironmentIsThatOfProduction(t *testing.T) {
	u := runbook.Urgency{Prod: runbook.Critical, Dev: runbook.Info}
	for env, want := range map[runbook.Env]runbook.Severity{
		runbook.Prod: runbook.Critical, runbook.Dev: runbook.Info, runbook.EnvUnknown: runbook.Critical, "": runbook.Critical,
	} {
		if got := u.For(env); got != want {
			t.Errorf("For(%q) = %q, want %q", env, got, want)
		}
	}
}
