package runbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// shippedFor is how long the rules that kube-prometheus ships must hold before
// they fire. Nobody can ask the rule: an Alertmanager passes on alerts and not
// rules, and people rarely change these.
func shippedFor(alert string) (time.Duration, bool) {
	for span, names := range map[time.Duration][]string{
		5 * time.Minute:  {"KubeCPUQuotaOvercommit", "KubeMemoryQuotaOvercommit"},
		10 * time.Minute: {"KubeCPUOvercommit", "KubeMemoryOvercommit", "KubeDaemonSetNotScheduled", "NodeClockSkewDetected", "NodeClockNotSynchronising", "TargetDown"},
		15 * time.Minute: {
			"KubePodCrashLooping", "KubePodNotReady", "KubeDeploymentGenerationMismatch", "KubeDeploymentReplicasMismatch",
			"KubeStatefulSetReplicasMismatch", "KubeStatefulSetGenerationMismatch", "KubeStatefulSetUpdateNotRolledOut",
			"KubeDaemonSetRolloutStuck", "KubeDaemonSetMisScheduled", "KubeJobFailed", "KubeHpaReplicasMismatch", "KubeHpaMaxedOut",
			"KubeQuotaAlmostFull", "KubeQuotaFullyUsed", "KubeQuotaExceeded", "CPUThrottlingHigh", "KubeClientErrors",
			"KubeNodeNotReady", "KubeNodeUnreachable", "KubeNodeReadinessFlapping", "NodeFileDescriptorLimit", "NodeRAIDDegraded",
		},
		30 * time.Minute: {"NodeFilesystemAlmostOutOfSpace"},
		time.Hour: {
			"KubeContainerWaiting", "NodeFilesystemSpaceFillingUp", "NodeFilesystemFilesFillingUp", "NodeFilesystemAlmostOutOfFiles",
			"NodeNetworkReceiveErrs", "NodeNetworkTransmitErrs",
		},
	} {
		if slices.Contains(names, alert) {
			return span, true
		}
	}
	return 0, false
}

// window is the span of the rule behind p, and where it is known from: "" if
// it was read, a sentence if it is only likely.
func (p Pattern) window(r Rule) (span time.Duration, from string) {
	if r.Window != 0 {
		return r.Window, ""
	}
	if span, ok := shippedFor(p.Alert); ok && p.system() == prometheus {
		return span, "The rule was not read; kube-prometheus ships it with " + minutes(span) + "."
	}
	return usualWindow, fmt.Sprintf("The rule could not be read; its present value is taken to be %d minutes.", int(usualWindow.Minutes()))
}

// labelName is what Prometheus and SigNoz allow as the name of a label.
var labelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,99}$`)

// serviceLabel is the label of the newest firing that holds its service, else
// the one that usually does.
func (p Pattern) serviceLabel() string {
	usual := "service"
	if p.system() == signoz {
		usual = "service.name"
	}
	if len(p.Spells) == 0 {
		return usual
	}
	service := p.Spells[len(p.Spells)-1].Service
	var keys []string
	for k, v := range p.Labels {
		if v == service && labelName.MatchString(k) && (p.system() == signoz || !strings.Contains(k, ".")) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || slices.Contains(keys, usual) {
		return usual
	}
	return slices.Min(keys)
}
