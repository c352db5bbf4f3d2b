package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	rbacv1 "k8s.io/api/rbac/v1"

	"watchkeeper/test/kubetest"
)

// Paths of the API server, as far as a table needs them often.
const (
	core     = "/api/v1/namespaces/NS/"
	apps     = "/apis/apps/v1/namespaces/NS/"
	batch    = "/apis/batch/v1/namespaces/NS/"
	argo     = "/apis/argoproj.io/v1alpha1/namespaces/NS/"
	rbac     = "/apis/rbac.authorization.k8s.io/v1/"
	admit    = "/apis/admissionregistration.k8s.io/v1/"
	apply    = "?fieldManager=agent&force=true"
	newToken = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`
	newApp   = `{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"new","namespace":"NS"},"spec":{"project":"default","destination":{},"source":{"repoURL":"https://git.example.com/evil"}}}`
	newFlow  = `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"new","namespace":"NS"},"spec":{"shutdown":"Stop"}}`
	newPod   = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"new","namespace":"NS"},"spec":{"containers":[{"name":"main","image":"registry.example.com/evil:1"}]}}`
	newWeb   = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"new","namespace":"NS"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"new"}},"template":{"metadata":{"labels":{"app":"new"}},"spec":{"containers":[{"name":"main","image":"registry.example.com/evil:1"}]}}}}`
	restart  = `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-11-24T12:00:00Z"}}}}}`
)

// An attempt is one request that must be refused.
type attempt struct {
	name         string
	method, path string
	contentType  string
	body         string
	rbacOnly     bool // no policy is asked: a read, about the policies themselves, or impossible in this cluster
}

// forbidden is everything that the agent must be unable to do, by every way
// that the API server offers.
func forbidden() []attempt {
	return []attempt{
		// An Application deleted deletes what it deployed.
		{name: "delete an Application", method: "DELETE", path: argo + "applications/shop"},
		{name: "delete an Application and orphan what it deployed", method: "DELETE", path: argo + "applications/shop?propagationPolicy=Orphan"},
		{name: "delete all Applications", method: "DELETE", path: argo + "applications"},
		{name: "create an Application", method: "POST", path: argo + "applications", contentType: asJSON, body: newApp},
		{name: "create an Application by apply", method: "PATCH", path: argo + "applications/new" + apply, contentType: serverApply, body: newApp},
		{name: "replace an Application", method: "PUT", path: argo + "applications/shop", contentType: asJSON, body: strings.ReplaceAll(newApp, `"new"`, `"shop","resourceVersion":"VERSION(shop)"`)},
		{name: "change the revision of an Application", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"spec":{"source":{"targetRevision":"evil"}}}`},
		{name: "let an Application prune", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"spec":{"syncPolicy":{"automated":{"prune":true}}}}`},
		{name: "change the spec of an Application by apply", method: "PATCH", path: argo + "applications/shop" + apply, contentType: serverApply, body: strings.ReplaceAll(newApp, `"new"`, `"shop"`)},
		{name: "start a sync", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"operation":{"sync":{"prune":true}}}`},
		{name: "start a sync by JSON patch", method: "PATCH", path: argo + "applications/shop", contentType: jsonPatch, body: `[{"op":"add","path":"/operation","value":{"sync":{}}}]`},
		{name: "start a sync beside a refresh", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"hard"}},"operation":{"sync":{}}}`},
		{name: "label an Application", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{name: "unlabel an Application", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"labels":null}}`},
		{name: "add a finalizer to an Application", method: "PATCH", path: argo + "applications/shop", contentType: jsonPatch, body: `[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/evil"}]`},
		{name: "remove the finalizers of an Application", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"finalizers":null}}`},
		{name: "give an Application an owner that can be collected", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"gone","uid":"1"}]}}`},
		{name: "change the status of an Application", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"status":{"sync":{"status":"Synced"}}}`},
		{name: "change the status subresource of an Application", method: "PATCH", path: argo + "applications/shop/status", contentType: merge, body: `{"status":{"sync":{"status":"Synced"}}}`, rbacOnly: true},
		{name: "annotate an Application otherwise", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"annotations":{"argocd.argoproj.io/hydrate":"normal"}}}`},
		{name: "change another annotation beside a refresh", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal","team":"evil"}}}`},
		{name: "remove an annotation of an Application", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"annotations":{"team":null}}}`},
		{name: "refresh in a way that does not exist", method: "PATCH", path: argo + "applications/shop", contentType: merge, body: `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"force"}}}`},

		// Workflows: told to stop, and nothing else.
		{name: "delete a Workflow", method: "DELETE", path: argo + "workflows/import"},
		{name: "delete all Workflows", method: "DELETE", path: argo + "workflows"},
		{name: "create a Workflow", method: "POST", path: argo + "workflows", contentType: asJSON, body: newFlow},
		{name: "create a Workflow by apply", method: "PATCH", path: argo + "workflows/new" + apply, contentType: serverApply, body: newFlow},
		{name: "replace a Workflow", method: "PUT", path: argo + "workflows/import", contentType: asJSON, body: strings.ReplaceAll(newFlow, `"new"`, `"import","resourceVersion":"VERSION(import)"`)},
		{name: "terminate a Workflow that was not told to stop", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"shutdown":"Terminate"}}`},
		{name: "shut a Workflow down in a way that does not exist", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"shutdown":"Delete"}}`},
		{name: "stop a Workflow that has claims", method: "PATCH", path: argo + "workflows/with-claims", contentType: merge, body: `{"spec":{"shutdown":"Stop"}}`},
		{name: "stop a Workflow whose template has claims", method: "PATCH", path: argo + "workflows/from-template", contentType: merge, body: `{"spec":{"shutdown":"Stop"}}`},
		{name: "suspend a Workflow", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"suspend":true}}`},
		{name: "change the image of a Workflow while stopping it", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"shutdown":"Stop","templates":[{"name":"main","container":{"image":"registry.example.com/evil:1"}}]}}`},
		{name: "let a Workflow expire", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"ttlStrategy":{"secondsAfterCompletion":0}}}`},
		{name: "change the status of a Workflow", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"status":{"phase":"Succeeded"}}`},
		{name: "label a Workflow", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"metadata":{"labels":{"workflows.argoproj.io/completed":"true"}}}`},
		{name: "annotate a Workflow", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"metadata":{"annotations":{"a":"b"}}}`},

		// Deployments: restarted, and nothing else.
		{name: "delete a Deployment", method: "DELETE", path: apps + "deployments/web"},
		{name: "delete all Deployments", method: "DELETE", path: apps + "deployments"},
		{name: "create a Deployment", method: "POST", path: apps + "deployments", contentType: asJSON, body: newWeb},
		{name: "create a Deployment by apply", method: "PATCH", path: apps + "deployments/new" + apply, contentType: serverApply, body: newWeb},
		{name: "replace a Deployment", method: "PUT", path: apps + "deployments/web", contentType: asJSON, body: strings.ReplaceAll(newWeb, `"new"`, `"web"`)},
		{name: "scale a Deployment to zero", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"replicas":0}}`},
		{name: "scale a Deployment up", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: `{"spec":{"replicas":3}}`},
		{name: "forget how many replicas a Deployment has", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"replicas":null}}`},
		{name: "scale a Deployment to zero by its subresource", method: "PATCH", path: apps + "deployments/web/scale", contentType: merge, body: `{"spec":{"replicas":0}}`},
		{name: "scale a Deployment by replacing its subresource", method: "PUT", path: apps + "deployments/web/scale", contentType: asJSON, body: `{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"web","namespace":"NS"},"spec":{"replicas":0}}`},
		{name: "change an image", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"registry.example.com/evil:1"}]}}}}`},
		{name: "change an image by JSON patch", method: "PATCH", path: apps + "deployments/web", contentType: jsonPatch, body: `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.com/evil:1"}]`},
		{name: "change an image by apply", method: "PATCH", path: apps + "deployments/web" + apply, contentType: serverApply, body: strings.ReplaceAll(newWeb, `"new"`, `"web"`)},
		{name: "change an image beside a restart", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-11-24T12:00:00Z"}},"spec":{"containers":[{"name":"main","image":"registry.example.com/evil:1"}]}}}}`},
		{name: "scale to zero beside a restart", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: strings.Replace(restart, `"spec":{`, `"spec":{"replicas":0,`, 1)},
		{name: "add a container", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: `{"spec":{"template":{"spec":{"containers":[{"name":"evil","image":"registry.example.com/evil:1"}]}}}}`},
		{name: "change an environment variable", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: `{"spec":{"template":{"spec":{"containers":[{"name":"main","env":[{"name":"LEVEL","value":"debug"}]}]}}}}`},
		{name: "mount a Secret", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: `{"spec":{"template":{"spec":{"volumes":[{"name":"s","secret":{"secretName":"credentials"}}]}}}}`},
		{name: "change the account of a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"template":{"spec":{"serviceAccountName":"default"}}}}`},
		{name: "label the pods of a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}`},
		{name: "annotate the pods of a Deployment otherwise", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"template":{"metadata":{"annotations":{"sidecar.istio.io/inject":"false"}}}}}`},
		{name: "remove an annotation of the pods of a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"template":{"metadata":{"annotations":{"team":null}}}}}`},
		{name: "restart at no time", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: strings.Replace(restart, "2026-11-24T12:00:00Z", "now; and a letter to whoever reads this", 1)},
		{name: "pause a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"paused":true}}`},
		{name: "change how a Deployment is rolled out", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`},
		{name: "annotate a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"metadata":{"annotations":{"a":"b"}}}`},
		{name: "label a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"metadata":{"labels":{"app":null}}}`},
		{name: "remove the finalizers of a Deployment", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"metadata":{"finalizers":null}}`},
		{name: "give a Deployment an owner that can be collected", method: "PATCH", path: apps + "deployments/web", contentType: merge, body: `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"gone","uid":"1"}]}}`},
		{name: "change the status of a Deployment", method: "PATCH", path: apps + "deployments/web/status", contentType: merge, body: `{"status":{"observedGeneration":99}}`},

		// What runs pods otherwise is not touched at all, databases first of all.
		{name: "restart a StatefulSet", method: "PATCH", path: apps + "statefulsets/database", contentType: merge, body: restart},
		{name: "scale a StatefulSet to zero", method: "PATCH", path: apps + "statefulsets/database", contentType: merge, body: `{"spec":{"replicas":0}}`},
		{name: "scale a StatefulSet by its subresource", method: "PATCH", path: apps + "statefulsets/database/scale", contentType: merge, body: `{"spec":{"replicas":0}}`},
		{name: "delete a StatefulSet", method: "DELETE", path: apps + "statefulsets/database"},
		{name: "delete all StatefulSets", method: "DELETE", path: apps + "statefulsets"},
		{name: "restart a DaemonSet", method: "PATCH", path: apps + "daemonsets/collector", contentType: merge, body: restart},
		{name: "delete a DaemonSet", method: "DELETE", path: apps + "daemonsets/collector"},
		{name: "delete all ReplicaSets", method: "DELETE", path: apps + "replicasets"},
		{name: "delete a Job", method: "DELETE", path: batch + "jobs/import"},
		{name: "suspend a Job", method: "PATCH", path: batch + "jobs/import", contentType: merge, body: `{"spec":{"suspend":true}}`},
		{name: "suspend a CronJob", method: "PATCH", path: batch + "cronjobs/nightly", contentType: merge, body: `{"spec":{"suspend":true}}`},
		{name: "change a HorizontalPodAutoscaler", method: "PATCH", path: "/apis/autoscaling/v2/namespaces/NS/horizontalpodautoscalers/web", contentType: merge, body: `{"spec":{"maxReplicas":9}}`},

		// Pods: evicted when stuck, and nothing else.
		{name: "delete a pod", method: "DELETE", path: core + "pods/POD(stuck)"},
		{name: "delete a pod at once", method: "DELETE", path: core + "pods/POD(stuck)?gracePeriodSeconds=0"},
		{name: "delete all pods", method: "DELETE", path: core + "pods"},
		{name: "create a pod", method: "POST", path: core + "pods", contentType: asJSON, body: newPod},
		{name: "label a pod", method: "PATCH", path: core + "pods/POD(web)", contentType: merge, body: `{"metadata":{"labels":{"app":"other"}}}`},
		{name: "change the image of a pod", method: "PATCH", path: core + "pods/POD(web)", contentType: strategic, body: `{"spec":{"containers":[{"name":"main","image":"registry.example.com/evil:1"}]}}`},
		{name: "change the status of a pod", method: "PATCH", path: core + "pods/POD(web)/status", contentType: merge, body: `{"status":{"phase":"Failed"}}`},
		{name: "resize a pod", method: "PATCH", path: core + "pods/POD(web)/resize", contentType: strategic, body: `{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"1m"}}}]}}`, rbacOnly: true},
		{name: "attach a debugger to a pod", method: "PATCH", path: core + "pods/POD(web)/ephemeralcontainers", contentType: strategic, body: `{"spec":{"ephemeralContainers":[{"name":"evil","image":"registry.example.com/evil:1"}]}}`},
		{name: "run a command in a pod", method: "POST", path: core + "pods/POD(web)/exec?command=sh&stdout=true"},
		{name: "run a command in a pod by GET", method: "GET", path: core + "pods/POD(web)/exec?command=sh&stdout=true"},
		{name: "attach to a pod", method: "POST", path: core + "pods/POD(web)/attach?stdout=true"},
		{name: "attach to a pod by GET", method: "GET", path: core + "pods/POD(web)/attach?stdout=true"},
		{name: "forward a port of a pod", method: "POST", path: core + "pods/POD(web)/portforward?ports=80"},
		{name: "talk to a pod through the API server", method: "GET", path: core + "pods/POD(web)/proxy/", rbacOnly: true},
		{name: "talk to a service through the API server", method: "GET", path: core + "services/web/proxy/", rbacOnly: true},
		{name: "bind a pod to a node", method: "POST", path: core + "pods/POD(web)/binding", contentType: asJSON, body: `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"POD(web)","namespace":"NS"},"target":{"kind":"Node","name":"node-1"}}`},
		{name: "evict a pod that is ready", method: "POST", path: core + "pods/POD(web)/eviction", contentType: asJSON, body: evictUID("web")},
		{name: "evict a pod without its UID", method: "POST", path: core + "pods/POD(stuck)/eviction", contentType: asJSON, body: evict("stuck", `{}`)},
		{name: "evict another pod of that name", method: "POST", path: core + "pods/POD(stuck)/eviction", contentType: asJSON, body: evict("stuck", `{"preconditions":{"uid":"1b671a64-40d5-491e-99b0-da01ff1f3341"}}`)},
		{name: "evict a pod without grace", method: "POST", path: core + "pods/POD(stuck)/eviction", contentType: asJSON, body: evict("stuck", `{"gracePeriodSeconds":0,"preconditions":{"uid":"UID(stuck)"}}`)},
		{name: "evict a pod and orphan what depends on it", method: "POST", path: core + "pods/POD(stuck)/eviction", contentType: asJSON, body: evict("stuck", `{"propagationPolicy":"Orphan","preconditions":{"uid":"UID(stuck)"}}`)},
		{name: "evict a pod of a StatefulSet", method: "POST", path: core + "pods/POD(database)/eviction", contentType: asJSON, body: evictUID("database")},
		{name: "evict a pod of a DaemonSet", method: "POST", path: core + "pods/POD(collector)/eviction", contentType: asJSON, body: evictUID("collector")},
		{name: "evict a pod of a Job", method: "POST", path: core + "pods/POD(import)/eviction", contentType: asJSON, body: evictUID("import")},
		{name: "evict a pod of nobody", method: "POST", path: core + "pods/POD(loner)/eviction", contentType: asJSON, body: evictUID("loner")},
		{name: "evict a pod with a claim", method: "POST", path: core + "pods/POD(cache)/eviction", contentType: asJSON, body: evictUID("cache")},
		{name: "delete a PodDisruptionBudget", method: "DELETE", path: "/apis/policy/v1/namespaces/NS/poddisruptionbudgets/web"},

		// Data.
		{name: "delete a claim", method: "DELETE", path: core + "persistentvolumeclaims/data"},
		{name: "delete all claims", method: "DELETE", path: core + "persistentvolumeclaims"},
		{name: "change a claim", method: "PATCH", path: core + "persistentvolumeclaims/data", contentType: merge, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{name: "remove the finalizers of a claim", method: "PATCH", path: core + "persistentvolumeclaims/data", contentType: merge, body: `{"metadata":{"finalizers":null}}`},
		{name: "delete a volume", method: "DELETE", path: "/api/v1/persistentvolumes/kubetest"},
		{name: "let a volume be deleted with its claim", method: "PATCH", path: "/api/v1/persistentvolumes/kubetest", contentType: merge, body: `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`},
		{name: "read a Secret", method: "GET", path: core + "secrets/credentials", rbacOnly: true},
		{name: "list the Secrets of a namespace", method: "GET", path: core + "secrets", rbacOnly: true},
		{name: "list all Secrets", method: "GET", path: "/api/v1/secrets", rbacOnly: true},
		{name: "watch all Secrets", method: "GET", path: "/api/v1/secrets?watch=true", rbacOnly: true},
		{name: "delete a Secret", method: "DELETE", path: core + "secrets/credentials"},
		{name: "delete all Secrets", method: "DELETE", path: core + "secrets"},
		{name: "create a Secret", method: "POST", path: core + "secrets", contentType: asJSON, body: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"new","annotations":{"kubernetes.io/service-account.name":"default"}},"type":"kubernetes.io/service-account-token"}`},
		{name: "change a Secret", method: "PATCH", path: core + "secrets/credentials", contentType: merge, body: `{"data":null}`},
		{name: "read a ConfigMap", method: "GET", path: core + "configmaps/settings", rbacOnly: true},
		{name: "change a ConfigMap", method: "PATCH", path: core + "configmaps/settings", contentType: merge, body: `{"data":null}`},
		{name: "delete a ConfigMap", method: "DELETE", path: core + "configmaps/settings"},

		// The cluster itself.
		{name: "delete a namespace", method: "DELETE", path: "/api/v1/namespaces/NS"},
		{name: "create a namespace", method: "POST", path: "/api/v1/namespaces", contentType: asJSON, body: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"evil"}}`},
		{name: "lift the protection of a namespace", method: "PATCH", path: "/api/v1/namespaces/NS", contentType: merge, body: `{"metadata":{"labels":null}}`},
		{name: "finalize a namespace", method: "PUT", path: "/api/v1/namespaces/NS/finalize", contentType: asJSON, body: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"NS"},"spec":{"finalizers":[]}}`},
		{name: "cordon a node", method: "PATCH", path: "/api/v1/nodes/node-1", contentType: merge, body: `{"spec":{"unschedulable":true}}`},
		{name: "delete a node", method: "DELETE", path: "/api/v1/nodes/node-1"},
		{name: "talk to a node through the API server", method: "GET", path: "/api/v1/nodes/node-1/proxy/pods", rbacOnly: true},
		{name: "delete the definition of Applications", method: "DELETE", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/applications.argoproj.io"},
		{name: "change the definition of Applications", method: "PATCH", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/applications.argoproj.io", contentType: merge, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{name: "delete a service", method: "DELETE", path: core + "services/web"},
		{name: "point a service elsewhere", method: "PATCH", path: core + "services/web", contentType: merge, body: `{"spec":{"selector":{"app":"evil"}}}`},
		{name: "write an event", method: "POST", path: core + "events", contentType: asJSON, body: `{"apiVersion":"v1","kind":"Event","metadata":{"name":"new","namespace":"NS"},"involvedObject":{"namespace":"NS"}}`},
		{name: "take a lease", method: "POST", path: "/apis/coordination.k8s.io/v1/namespaces/NS/leases", contentType: asJSON, body: `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"new"}}`},
		{name: "put an API server in front", method: "POST", path: "/apis/apiregistration.k8s.io/v1/apiservices", contentType: asJSON, body: `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.evil.example.com"},"spec":{"group":"evil.example.com","version":"v1","groupPriorityMinimum":1,"versionPriority":1,"service":{"name":"web","namespace":"NS"},"insecureSkipTLSVerify":true}}`},
		{name: "read the metrics of the API server", method: "GET", path: "/metrics", rbacOnly: true},
		{name: "profile the API server", method: "GET", path: "/debug/pprof/", rbacOnly: true},

		// Its own bounds.
		{name: "bind cluster-admin", method: "POST", path: rbac + "clusterrolebindings", contentType: asJSON, body: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"evil"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"ServiceAccount","name":"agent","namespace":"watchkeeper"}]}`},
		{name: "bind admin in a namespace", method: "POST", path: rbac + "namespaces/NS/rolebindings", contentType: asJSON, body: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"evil"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"},"subjects":[{"kind":"ServiceAccount","name":"agent","namespace":"watchkeeper"}]}`},
		{name: "widen its own role", method: "PATCH", path: rbac + "clusterroles/watchkeeper-act", contentType: jsonPatch, body: `[{"op":"add","path":"/rules/-","value":{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}}]`},
		{name: "delete its own role", method: "DELETE", path: rbac + "clusterroles/watchkeeper-read"},
		{name: "create a role", method: "POST", path: rbac + "namespaces/NS/roles", contentType: asJSON, body: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"evil"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}`},
		{name: "delete a policy", method: "DELETE", path: admit + "validatingadmissionpolicies/watchkeeper-restart", rbacOnly: true},
		{name: "weaken a policy", method: "PATCH", path: admit + "validatingadmissionpolicies/watchkeeper-restart", contentType: merge, body: `{"spec":{"failurePolicy":"Ignore"}}`, rbacOnly: true},
		{name: "delete a binding of a policy", method: "DELETE", path: admit + "validatingadmissionpolicybindings/watchkeeper-nothing-else", rbacOnly: true},
		{name: "let a binding only warn", method: "PATCH", path: admit + "validatingadmissionpolicybindings/watchkeeper-restart", contentType: merge, body: `{"spec":{"validationActions":["Warn"]}}`, rbacOnly: true},
		{name: "delete all bindings of policies", method: "DELETE", path: admit + "validatingadmissionpolicybindings", rbacOnly: true},
		{name: "create a webhook", method: "POST", path: admit + "mutatingwebhookconfigurations", contentType: asJSON, body: `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"evil"}}`, rbacOnly: true},
		{name: "delete all webhooks", method: "DELETE", path: admit + "validatingwebhookconfigurations", rbacOnly: true},

		// Being somebody else.
		{name: "get a token for itself", method: "POST", path: "/api/v1/namespaces/watchkeeper/serviceaccounts/agent/token", contentType: asJSON, body: newToken},
		{name: "get a token for another account", method: "POST", path: core + "serviceaccounts/default/token", contentType: asJSON, body: newToken},
		{name: "create an account", method: "POST", path: core + "serviceaccounts", contentType: asJSON, body: `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"evil"}}`},
		{name: "ask for a client certificate", method: "POST", path: "/apis/certificates.k8s.io/v1/certificatesigningrequests", contentType: asJSON, body: `{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"evil"},"spec":{"request":"CSR","signerName":"kubernetes.io/kube-apiserver-client","usages":["client auth"]}}`},
		{name: "look a token up", method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews", contentType: asJSON, body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}`, rbacOnly: true},
		{name: "ask what others may do", method: "POST", path: "/apis/authorization.k8s.io/v1/subjectaccessreviews", contentType: asJSON, body: `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"admin","resourceAttributes":{"verb":"get","resource":"secrets"}}}`, rbacOnly: true},
	}
}

func TestTheAgentCannot(t *testing.T) {
	s := open(t)
	s.volume(t)
	before := s.inventory(t)
	for _, a := range forbidden() {
		t.Run(a.name, func(t *testing.T) { s.refused(t, s.Agent, a, "") })
	}
	if diff := cmp.Diff(before, s.inventory(t)); diff != "" {
		t.Errorf("something changed all the same (-before +after):\n%s", diff)
	}
	for _, r := range s.AgentWrites(t, s.namespace) {
		if r.Code < 400 {
			t.Errorf("the audit log has a request that was let through: %s", r)
		}
	}
}

func TestTheAgentCannotImpersonate(t *testing.T) {
	s := open(t)
	for name, as := range map[string]rest.ImpersonationConfig{
		"a user":               {UserName: "admin"},
		"a group":              {UserName: "nobody", Groups: []string{"system:masters"}},
		"a service account":    {UserName: "system:serviceaccount:kube-system:namespace-controller"},
		"a node":               {UserName: "system:node:node-1", Groups: []string{"system:nodes"}},
		"itself, with a group": {UserName: kubetest.AgentUser, Groups: []string{"system:masters"}},
		"by UID":               {UserName: kubetest.AgentUser, UID: "1"},
		"by extra":             {UserName: kubetest.AgentUser, Extra: map[string][]string{"scopes": {"all"}}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := rest.CopyConfig(s.Agent)
			cfg.Impersonate = as
			s.refused(t, cfg, attempt{method: "GET", path: core + "secrets"}, "")
		})
	}
}

// What is in a protected namespace is left alone, also where the same would be
// allowed elsewhere.
func TestTheAgentCannotTouchAProtectedNamespace(t *testing.T) {
	s := open(t, "watchkeeper.io/protected", "")
	for _, a := range []attempt{
		{name: "restart", method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: restart},
		{name: "evict", method: "POST", path: core + "pods/POD(stuck)/eviction", contentType: asJSON, body: evictUID("stuck")},
		{name: "stop", method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"shutdown":"Stop"}}`},
		{name: "lift the protection", method: "PATCH", path: "/api/v1/namespaces/NS", contentType: merge, body: `{"metadata":{"labels":{"watchkeeper.io/protected":null}}}`},
	} {
		t.Run(a.name, func(t *testing.T) { s.refused(t, s.Agent, a, "") })
	}
	for _, ns := range []string{"kube-system", "argocd"} {
		t.Run("restart in "+ns, func(t *testing.T) {
			_, _ = do(t.Context(), s.Admin, "POST", "/api/v1/namespaces", asJSON, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+ns+`"}}`)
			s := shop{Cluster: s.Cluster, namespace: ns}
			s.Apply(t, ns, strings.NewReplacer(`"new"`, `"web"`, "NS", ns).Replace(newWeb))
			s.refused(t, s.Agent, attempt{method: "PATCH", path: apps + "deployments/web", contentType: strategic, body: restart}, "protected namespace")
		})
	}
}

// The policies hold even if somebody makes the agent cluster-admin. They are
// tried in dry runs, lest a hole takes the cluster with it.
func TestPoliciesHoldForAnAgentThatIsClusterAdmin(t *testing.T) {
	s := open(t)
	s.volume(t)
	defer s.promote(t)()
	for _, a := range forbidden() {
		if a.rbacOnly {
			continue
		}
		a.path = rehearsed(a.path)
		t.Run(a.name, func(t *testing.T) { s.refused(t, s.Agent, a, "ValidatingAdmissionPolicy 'watchkeeper-") })
	}
}

// rehearsed adds that a request is a dry run, for what knows such a thing.
func rehearsed(path string) string {
	switch {
	case strings.Contains(path, "/exec?"), strings.Contains(path, "/attach?"), strings.Contains(path, "/portforward?"):
		return path
	case strings.Contains(path, "?"):
		return path + "&dryRun=All"
	}
	return path + "?dryRun=All"
}

// refused sends a and fails unless the server forbids it, with because in its
// reason.
func (s shop) refused(t *testing.T, cfg *rest.Config, a attempt, because string) {
	t.Helper()
	out, err := do(t.Context(), cfg, a.method, s.fill(a.path), a.contentType, s.fill(a.body))
	switch {
	case err == nil:
		t.Fatalf("%s %s %s succeeded: %.200s", a.method, s.fill(a.path), a.body, out)
	case !apierrors.IsForbidden(err):
		t.Errorf("%s %s = %v (%s), want it forbidden", a.method, s.fill(a.path), err, apierrors.ReasonForError(err))
	case !strings.Contains(err.Error(), because):
		t.Errorf("%s %s = %v, want %q in it", a.method, s.fill(a.path), err, because)
	}
}

// promote binds cluster-admin to the agent, and returns what undoes it.
func (s shop) promote(t *testing.T) (demote func()) {
	t.Helper()
	bindings := s.Kube.RbacV1().ClusterRoleBindings()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "by-mistake"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "agent", Namespace: "watchkeeper"}},
	}
	if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	readsSecrets := func() bool {
		_, err := do(t.Context(), s.Agent, "GET", s.fill(core+"secrets/credentials"), "", "")
		return err == nil
	}
	kubetest.Eventually(t, "the wrong binding", readsSecrets)
	return func() {
		if err := bindings.Delete(t.Context(), binding.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		kubetest.Eventually(t, "the end of the wrong binding", func() bool { return !readsSecrets() })
	}
}

// volume makes the volume that the table tries to delete.
func (s shop) volume(t *testing.T) {
	t.Helper()
	s.Apply(t, "", `{apiVersion: v1, kind: PersistentVolume, metadata: {name: kubetest}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany], storageClassName: other, persistentVolumeReclaimPolicy: Retain, hostPath: {path: /nonexistent}}}`)
}

// inventory lists what there is, with what was asked of it.
func (s shop) inventory(t *testing.T) map[string]any {
	t.Helper()
	found := map[string]any{}
	for _, path := range []string{
		apps + "deployments", apps + "statefulsets", apps + "daemonsets", apps + "replicasets", batch + "jobs", batch + "cronjobs",
		core + "pods", core + "persistentvolumeclaims", core + "secrets", core + "configmaps", core + "services", core + "serviceaccounts",
		argo + "applications", argo + "workflows", rbac + "clusterroles", rbac + "clusterrolebindings", rbac + "namespaces/NS/rolebindings",
		admit + "validatingadmissionpolicies", admit + "validatingadmissionpolicybindings", admit + "mutatingwebhookconfigurations",
		"/api/v1/nodes", "/api/v1/persistentvolumes", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
	} {
		text, err := do(t.Context(), s.Admin, "GET", s.fill(path), "", "")
		if err != nil {
			t.Fatal(err)
		}
		var list unstructured.UnstructuredList
		if err := list.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			meta := map[string]any{"labels": o.GetLabels(), "annotations": o.GetAnnotations(), "finalizers": o.GetFinalizers(), "owners": o.GetOwnerReferences(), "deleted": o.GetDeletionTimestamp()}
			found[fmt.Sprint(path, " ", o.GetName())] = map[string]any{"metadata": meta, "spec": o.Object["spec"], "data": o.Object["data"], "rules": o.Object["rules"], "operation": o.Object["operation"]}
		}
	}
	return found
}
