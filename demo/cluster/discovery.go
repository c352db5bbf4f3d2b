package cluster

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kinds lists what the server knows, in discovery order.
func kinds() []kind {
	return []kind{
		{"", "v1", "ConfigMap", "configmaps", "cm", false},
		{"", "v1", "Event", "events", "ev", false},
		{"", "v1", "Namespace", "namespaces", "ns", true},
		{"", "v1", "Node", "nodes", "no", true},
		{"", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", false},
		{"", "v1", "PersistentVolume", "persistentvolumes", "pv", true},
		{"", "v1", "Pod", "pods", "po", false},
		{"", "v1", "Secret", "secrets", "", false},
		{"", "v1", "Service", "services", "svc", false},
		{"", "v1", "ServiceAccount", "serviceaccounts", "sa", false},
		{"apps", "v1", "ControllerRevision", "controllerrevisions", "", false},
		{"apps", "v1", "DaemonSet", "daemonsets", "ds", false},
		{"apps", "v1", "Deployment", "deployments", "deploy", false},
		{"apps", "v1", "ReplicaSet", "replicasets", "rs", false},
		{"apps", "v1", "StatefulSet", "statefulsets", "sts", false},
		{"autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", false},
		{"batch", "v1", "CronJob", "cronjobs", "cj", false},
		{"batch", "v1", "Job", "jobs", "", false},
		{"networking.k8s.io", "v1", "Ingress", "ingresses", "ing", false},
		{"policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", false},
		{"argoproj.io", "v1alpha1", "Application", "applications", "app", false},
		{"argoproj.io", "v1alpha1", "CronWorkflow", "cronworkflows", "cwf", false},
		{"argoproj.io", "v1alpha1", "Workflow", "workflows", "wf", false},
	}
}

func kindOf(gv, plural string) (kind, bool) {
	for _, k := range kinds() {
		if k.gv() == gv && k.plural == plural {
			return k, true
		}
	}
	return kind{}, false
}

// apiGroups answers /apis.
func apiGroups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	seen := map[string]bool{"": true}
	for _, k := range kinds() {
		if seen[k.group] {
			continue
		}
		seen[k.group] = true
		v := metav1.GroupVersionForDiscovery{GroupVersion: k.gv(), Version: k.version}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: k.group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v,
		})
	}
	return list
}

// apiResources answers /api/v1 and /apis/GROUP/VERSION; nil if there is no such group.
func apiResources(gv string) *metav1.APIResourceList {
	list := &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv}
	for _, k := range kinds() {
		if k.gv() != gv {
			continue
		}
		r := metav1.APIResource{
			Name: k.plural, SingularName: lower(k.kind), Kind: k.kind, Namespaced: !k.cluster,
			Verbs: metav1.Verbs{"get", "list"},
		}
		if k.short != "" {
			r.ShortNames = []string{k.short}
		}
		list.APIResources = append(list.APIResources, r)
		if k.plural == "pods" {
			list.APIResources = append(list.APIResources,
				metav1.APIResource{Name: "pods/log", Kind: "Pod", Namespaced: true, Verbs: metav1.Verbs{"get"}})
		}
	}
	if len(list.APIResources) == 0 {
		return nil
	}
	return list
}
