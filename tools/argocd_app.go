package tools

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// argoCD and argoWorkflow name the two kinds of Argo's that are read.
// Their Go modules are not imported: they would bring in half of Kubernetes.
var (
	argoCD       = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	argoWorkflow = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}
)

// argoPage is smaller than other pages: one object may have 100 kB.
const argoPage = 100

// refreshKey is the annotation that asks Argo CD to compare again; its
// controller removes it when that is done.
const refreshKey = "argocd.argoproj.io/refresh"

// An application is what matters here of an Argo CD Application.
type application struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Project     string           `json:"project"`
		Source      *appSource       `json:"source"`
		Sources     []appSource      `json:"sources"`
		Destination *appDestination  `json:"destination"`
		SyncPolicy  *appSyncSettings `json:"syncPolicy"`
	} `json:"spec"`
	Operation map[string]any `json:"operation"`
	Status    struct {
		Sync         appRevision   `json:"sync"`
		Health       appHealth     `json:"health"`
		Conditions   []appNote     `json:"conditions"`
		Operation    *appOperation `json:"operationState"`
		History      []appRevision `json:"history"`
		Resources    []appResource `json:"resources"`
		ReconciledAt *metav1.Time  `json:"reconciledAt"`
	} `json:"status"`
}

type appSource struct {
	RepoURL        string `json:"repoURL"`
	Path           string `json:"path"`
	Chart          string `json:"chart"`
	TargetRevision string `json:"targetRevision"`
}

type appDestination struct {
	Server    string `json:"server"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type appSyncSettings struct {
	Automated *struct {
		Prune    bool  `json:"prune"`
		SelfHeal bool  `json:"selfHeal"`
		Enabled  *bool `json:"enabled"` // nil is true
	} `json:"automated"`
}

// An appRevision is the state of the sync, or an entry of the history.
type appRevision struct {
	Status     string       `json:"status"`
	Revision   string       `json:"revision"`
	Revisions  []string     `json:"revisions"` // of several sources
	DeployedAt *metav1.Time `json:"deployedAt"`
}

type appHealth struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type appNote struct {
	Type    string       `json:"type"`
	Message string       `json:"message"`
	At      *metav1.Time `json:"lastTransitionTime"`
}

type appOperation struct {
	Phase      string       `json:"phase"`
	Message    string       `json:"message"`
	StartedAt  *metav1.Time `json:"startedAt"`
	FinishedAt *metav1.Time `json:"finishedAt"`
	RetryCount int64        `json:"retryCount"`
}

type appResource struct {
	Group     string     `json:"group"`
	Kind      string     `json:"kind"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Status    string     `json:"status"`
	Health    *appHealth `json:"health"`
	Prune     bool       `json:"requiresPruning"`
	Hook      bool       `json:"hook"`
}

// readApplication converts what the server sent.
func readApplication(o *unstructured.Unstructured) (*application, error) {
	a := new(application)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, a); err != nil {
		return nil, fmt.Errorf("application %s/%s has an unexpected form: %w", o.GetNamespace(), o.GetName(), err)
	}
	return a, nil
}

// applications lists the Applications of a namespace, or of all for ""; only
// the one of that name if it is not "".
func (c *Cluster) applications(ctx context.Context, namespace, name string) (apps []*application, gaps []string, err error) {
	cl, err := c.clients()
	if err != nil {
		return nil, nil, err
	}
	opts := metav1.ListOptions{}
	if name != "" {
		opts.FieldSelector = "metadata.name=" + name
	}
	err = pages(opts, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		o.Limit = argoPage
		list, err := cl.dynamic.Resource(argoCD).Namespace(namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			a, err := readApplication(&list.Items[i])
			if err != nil {
				gaps = append(gaps, oneLine(err.Error(), 200))
				continue
			}
			apps = append(apps, a)
		}
		return list, nil
	})
	if err != nil {
		return nil, nil, c.explainArgo("Argo CD", "list applications", err)
	}
	return apps, gaps, nil
}

// automated reports whether Argo CD syncs by itself, and what it may do then.
func (a *application) automated() (yes, prune, selfHeal bool) {
	p := a.Spec.SyncPolicy
	if p == nil || p.Automated == nil || (p.Automated.Enabled != nil && !*p.Automated.Enabled) {
		return false, false, false
	}
	return true, p.Automated.Prune, p.Automated.SelfHeal
}

// destination is the namespace that it deploys to; "" if it names none.
func (a *application) destination() string {
	if a.Spec.Destination == nil {
		return ""
	}
	return a.Spec.Destination.Namespace
}

// running reports whether an operation is in progress or was asked for.
func (a *application) running() bool {
	op := a.Status.Operation
	return len(a.Operation) > 0 || (op != nil && (op.Phase == "Running" || op.Phase == "Terminating"))
}

// rank is how much an application needs attention; 0 is not at all.
func (a *application) rank() int {
	switch {
	case a.Status.Health.Status == "Degraded" || a.Status.Health.Status == "Missing":
		return 6
	case a.Status.Operation != nil && (a.Status.Operation.Phase == "Failed" || a.Status.Operation.Phase == "Error"):
		return 5
	case slices.ContainsFunc(a.Status.Conditions, func(n appNote) bool { return strings.HasSuffix(n.Type, "Error") }):
		return 4
	case a.Status.Sync.Status == "OutOfSync" || a.Status.Sync.Status == "Unknown" || a.Status.Sync.Status == "":
		return 3
	case a.Status.Health.Status == "Progressing" || a.Status.Health.Status == "Unknown" || a.running():
		return 2
	case a.Metadata.DeletionTimestamp != nil || a.Status.Health.Status == "Suspended":
		return 1
	}
	return 0
}

// drifted lists the resources that differ from Git, or are not well.
func (a *application) drifted() []appResource {
	return slices.DeleteFunc(slices.Clone(a.Status.Resources), func(r appResource) bool {
		well := r.Health == nil || r.Health.Status == "Healthy" || r.Health.Status == ""
		return well && !r.Prune && (r.Status == "Synced" || r.Status == "" || r.Hook)
	})
}

// text names the revision, short if it is a commit.
func (r appRevision) text() string {
	all := r.Revisions
	if len(all) == 0 {
		all = []string{r.Revision}
	}
	short := make([]string, len(all))
	for i, rev := range all {
		short[i] = oneLine(rev, 60)
		if commit.MatchString(rev) {
			short[i] = rev[:12]
		}
	}
	return cmp.Or(strings.Join(short, " + "), "none")
}

// condition reads "OutOfSync and Degraded", in words of Argo CD's own only: it
// stands among hints, outside of what is quoted.
func (a *application) condition() string {
	known := func(s string, words ...string) string {
		if slices.Contains(words, s) {
			return s
		}
		return "unknown"
	}
	s := fmt.Sprintf("%s and %s", known(a.Status.Sync.Status, "Synced", "OutOfSync"),
		known(a.Status.Health.Status, "Healthy", "Degraded", "Missing", "Progressing", "Suspended"))
	if op := a.Status.Operation; op != nil && (op.Phase == "Failed" || op.Phase == "Error") {
		s += ", and its last operation failed"
	}
	return s
}
