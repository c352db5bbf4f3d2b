package tools_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"watchkeeper/tools"
)

// one is a cluster with one workload and one node.
func one(t *testing.T, workload string) *tools.Cluster {
	t.Helper()
	yaml := "nodes: [{name: n1, since: 3d}]\nworkloads:\n- namespace: a\n  name: svc\n  image: 'r/svc:1'\n" + workload
	c, err := load(t, fstest.MapFS{"big/cluster.yaml": {Data: []byte(yaml)}, "big/logs/.keep": {}}).Get("big")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStatesOfPods(t *testing.T) {
	tests := []struct {
		name, workload string
		reason         string // of the only problem, "" for none
		summary        string // part of the text
	}{
		{"ready is no problem", "  since: 1h", "", "nothing is wrong; 1 of 1 pods ready"},
		{"a crash loop", "  since: 1h\n  pods: [{state: crashloop, exit: 3, restarts: 5, last: 1m}]", "CrashLoopBackOff", "exit 3 (Error) 1 min ago, 5 restarts"},
		{"running between two crashes", "  since: 1h\n  pods: [{state: restarting, exit: 3, restarts: 5, last: 1m}]", "CrashLoopBackOff", "0 of 1 pods ready"},
		{"ready between two crashes", "  since: 1h\n  pods: [{exit: 3, restarts: 5, last: 1m}]", "CrashLoopBackOff", "1 of 1 pods ready"},
		{"one old restart is no problem", "  since: 9h\n  pods: [{exit: 3, restarts: 1, last: 5h}]", "", "nothing is wrong"},
		{"one restart just now is a recovery", "  since: 9h\n  pods: [{exit: 3, restarts: 1, last: 5m}]", "", "recovered: "},
		{"a crash loop from memory", "  since: 1h\n  pods: [{state: crashloop, exit: 137, reason: OOMKilled, restarts: 5, last: 1m}]", "OOMKilled", "exit 137 (OOMKilled)"},
		{"an image that cannot be pulled", "  since: 1h\n  pods: [{state: waiting, reason: ErrImagePull, message: no such image}]", "ErrImagePull", "no such image"},
		{"a missing config map", "  since: 1h\n  pods: [{state: waiting, reason: CreateContainerConfigError, message: configmap x not found}]", "CreateContainerConfigError", "configmap x not found"},
		{"being created for a moment", "  since: 30s\n  pods: [{state: waiting, reason: ContainerCreating}]", "", "nothing is wrong"},
		{"being created for too long", "  since: 20m\n  pods: [{state: waiting, reason: ContainerCreating}]", "StuckCreating", "since 19 min ago"},
		{"no node fits", "  since: 20m\n  pods: [{state: pending, message: 0/1 nodes are available}]", "Unschedulable", "0/1 nodes are available"},
		{"not ready", "  since: 20m\n  pods: [{state: notready}]", "NotReady", "containers with unready status: [svc]"},
		{"evicted", "  since: 20m\n  pods: [{}, {state: evicted, message: low on memory}]", "Evicted", "low on memory"},
		{"evicted long ago is only counted", "  since: 3d\n  pods: [{}, {state: evicted}]", "", "1 pod left over"},
		{"stuck terminating", "  since: 3d\n  pods: [{}, {state: terminating, last: 10m}]", "StuckTerminating", "past its grace period"},
		{"a failed job, with its pod once", "  kind: Job\n  since: 1h\n  failed: true\n  pods: [{state: failed, exit: 2, last: 1h}]", "JobFailed", "exit 2 (Error)"},
		{"a job that succeeded", "  kind: Job\n  since: 1h\n  pods: [{state: completed, last: 1h, reason: Completed}]", "", "nothing is wrong"},
		{"an old failed job", "  kind: Job\n  since: 3d\n  failed: true\n  pods: [{state: failed, exit: 2, last: 3d}]", "", "nothing is wrong"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := one(t, tt.workload).Problems(t.Context(), tools.ProblemsQuery{})
			if err != nil {
				t.Fatal(err)
			}
			var reasons []string
			for _, pr := range p.Problems {
				reasons = append(reasons, pr.Reason)
			}
			if got := strings.Join(reasons, " "); got != tt.reason {
				t.Errorf("reasons = %q, want %q", got, tt.reason)
			}
			contains(t, p.String(), tt.summary)
		})
	}
}

func TestAServiceIsHealthyOnlyIfProven(t *testing.T) {
	tests := []struct {
		name, workload, service string
		want                    bool
		text                    string
	}{
		{"all ready", "  since: 1h", "svc", true, "healthy since 59 min ago"},
		{"all ready, by namespace too", "  since: 1h", "a/svc", true, "healthy since"},
		{"recovered", "  since: 9h\n  pods: [{exit: 137, reason: OOMKilled, restarts: 1, last: 5m}]", "svc", true, "recovered: all pods ready since 4 min ago; last termination 5 min ago, exit 137 (OOMKilled)"},
		{"one of two is not ready", "  since: 1h\n  pods: [{}, {state: notready}]", "svc", false, "NotReady, 1 of 2 pods ready"},
		{"restarting still", "  since: 1h\n  pods: [{exit: 1, restarts: 4, last: 1m}]", "svc", false, "CrashLoopBackOff"},
		{"only a part of the name", "  since: 1h", "sv", false, "no workload has this name"},
		{"nothing of the name", "  since: 1h", "payments", false, "no workload has this name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := one(t, tt.workload).Problems(t.Context(), tools.ProblemsQuery{Service: tt.service})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Healthy(); got != tt.want {
				t.Errorf("Healthy() = %v, want %v", got, tt.want)
			}
			contains(t, p.String(), tt.text)
		})
	}
}

func TestNodesThatAilComeFirst(t *testing.T) {
	yaml := "nodes: [{name: n1, since: 6m, reason: NodeStatusUnknown, message: Kubelet stopped posting node status.}]\n" +
		"workloads: [{namespace: a, name: svc, image: 'r/svc:1', since: 1h, pods: [{state: crashloop, exit: 1, restarts: 3, last: 1m}]}]\n"
	c, err := load(t, fstest.MapFS{"big/cluster.yaml": {Data: []byte(yaml)}, "big/logs/.keep": {}}).Get("big")
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Problems(t.Context(), tools.ProblemsQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Problems[0].Owner(), " ", p.Problems[0].Reason); got != "Node n1 NodeNotReady" {
		t.Errorf("first problem = %q, want the node", got)
	}
	contains(t, p.String(), "0 of 1 nodes ready", "Kubelet stopped posting node status.")
}
