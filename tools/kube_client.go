package tools

import (
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// A kube is a typed client of the kinds that the tools read. It is made of
// client-go's generic client, and is used like the generated one.
//
// The generated one (client-go/kubernetes), and client-go/discovery with it,
// links and registers every version of every kind: more than ten megabytes of
// memory in each program that holds it, on a machine that has two gigabytes.
type kube struct{ core, apps, batch, authentication, authorization rest.Interface }

// scheme returns the kinds that a kube knows.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	add := runtime.NewSchemeBuilder(corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme,
		authenticationv1.AddToScheme, authorizationv1.AddToScheme, policyv1.AddToScheme)
	utilruntime.Must(add.AddToScheme(s)) // fails only for kinds that contradict each other
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"})
	return s
})

// newKube returns a client of cfg's server. Its groups share one limit of
// requests and one pool of connections.
func newKube(cfg *rest.Config) (kube, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(cfg.QPS, cfg.Burst)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme()).WithoutConversion()
	http, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return kube{}, err
	}
	var k kube
	for _, g := range []struct {
		into *rest.Interface
		gv   schema.GroupVersion
	}{
		{&k.core, corev1.SchemeGroupVersion},
		{&k.apps, appsv1.SchemeGroupVersion},
		{&k.batch, batchv1.SchemeGroupVersion},
		{&k.authentication, authenticationv1.SchemeGroupVersion},
		{&k.authorization, authorizationv1.SchemeGroupVersion},
	} {
		cfg.GroupVersion, cfg.APIPath = &g.gv, "/apis"
		if g.gv.Group == "" {
			cfg.APIPath = "/api"
		}
		if *g.into, err = rest.RESTClientForConfigAndClient(cfg, http); err != nil {
			return kube{}, err
		}
	}
	return k, nil
}

// An object is a pointer to a struct of k8s.io/api.
type object[T any] interface {
	*T
	runtime.Object
	metav1.Object
}

// A list is a pointer to a list of them.
type list[T any] interface {
	*T
	runtime.Object
}

// kind returns the client of one kind in a namespace; "" is all of them, or
// none for what lives in the cluster.
func kind[T, L any, O object[T], OL list[L]](c rest.Interface, plural, namespace string) *gentype.ClientWithList[O, OL] {
	return gentype.NewClientWithList(plural, c, runtime.NewParameterCodec(scheme()), namespace,
		func() O { return new(T) }, func() OL { return new(L) })
}

// A coreV1 is a client of the kinds without a group.
type coreV1 struct{ rest rest.Interface }

func (k kube) CoreV1() coreV1 { return coreV1{k.core} }

func (c coreV1) RESTClient() rest.Interface { return c.rest }

func (c coreV1) Pods(namespace string) pods {
	return pods{kind[corev1.Pod, corev1.PodList](c.rest, "pods", namespace)}
}

func (c coreV1) Events(namespace string) *gentype.ClientWithList[*corev1.Event, *corev1.EventList] {
	return kind[corev1.Event, corev1.EventList](c.rest, "events", namespace)
}

func (c coreV1) Namespaces() *gentype.ClientWithList[*corev1.Namespace, *corev1.NamespaceList] {
	return kind[corev1.Namespace, corev1.NamespaceList](c.rest, "namespaces", "")
}

func (c coreV1) Nodes() *gentype.ClientWithList[*corev1.Node, *corev1.NodeList] {
	return kind[corev1.Node, corev1.NodeList](c.rest, "nodes", "")
}

func (c coreV1) PersistentVolumeClaims(namespace string) *gentype.ClientWithList[*corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaimList] {
	return kind[corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaimList](c.rest, "persistentvolumeclaims", namespace)
}

// pods is a client of pods, which have logs.
type pods struct {
	*gentype.ClientWithList[*corev1.Pod, *corev1.PodList]
}

func (p pods) GetLogs(name string, o *corev1.PodLogOptions) *rest.Request {
	return p.GetClient().Get().Namespace(p.GetNamespace()).Name(name).Resource("pods").SubResource("log").
		VersionedParams(o, runtime.NewParameterCodec(scheme()))
}

// An appsV1 is a client of workloads.
type appsV1 struct{ rest rest.Interface }

func (k kube) AppsV1() appsV1 { return appsV1{k.apps} }

func (a appsV1) Deployments(namespace string) *gentype.ClientWithList[*appsv1.Deployment, *appsv1.DeploymentList] {
	return kind[appsv1.Deployment, appsv1.DeploymentList](a.rest, "deployments", namespace)
}

func (a appsV1) StatefulSets(namespace string) *gentype.ClientWithList[*appsv1.StatefulSet, *appsv1.StatefulSetList] {
	return kind[appsv1.StatefulSet, appsv1.StatefulSetList](a.rest, "statefulsets", namespace)
}

func (a appsV1) DaemonSets(namespace string) *gentype.ClientWithList[*appsv1.DaemonSet, *appsv1.DaemonSetList] {
	return kind[appsv1.DaemonSet, appsv1.DaemonSetList](a.rest, "daemonsets", namespace)
}

func (a appsV1) ReplicaSets(namespace string) *gentype.ClientWithList[*appsv1.ReplicaSet, *appsv1.ReplicaSetList] {
	return kind[appsv1.ReplicaSet, appsv1.ReplicaSetList](a.rest, "replicasets", namespace)
}

func (a appsV1) ControllerRevisions(namespace string) *gentype.ClientWithList[*appsv1.ControllerRevision, *appsv1.ControllerRevisionList] {
	return kind[appsv1.ControllerRevision, appsv1.ControllerRevisionList](a.rest, "controllerrevisions", namespace)
}

// Jobs are the clients of jobs.
func (k kube) Jobs(namespace string) *gentype.ClientWithList[*batchv1.Job, *batchv1.JobList] {
	return kind[batchv1.Job, batchv1.JobList](k.batch, "jobs", namespace)
}

// SelfSubjectReviews ask the server who we are.
func (k kube) SelfSubjectReviews() *gentype.Client[*authenticationv1.SelfSubjectReview] {
	return gentype.NewClient("selfsubjectreviews", k.authentication, runtime.NewParameterCodec(scheme()), "",
		func() *authenticationv1.SelfSubjectReview { return new(authenticationv1.SelfSubjectReview) })
}

// SelfSubjectAccessReviews ask the server what we may.
func (k kube) SelfSubjectAccessReviews() *gentype.Client[*authorizationv1.SelfSubjectAccessReview] {
	return gentype.NewClient("selfsubjectaccessreviews", k.authorization, runtime.NewParameterCodec(scheme()), "",
		func() *authorizationv1.SelfSubjectAccessReview { return new(authorizationv1.SelfSubjectAccessReview) })
}
