package tools

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// maxNodes bounds the unpacked nodes of a workflow, in bytes.
const maxNodes = 16 << 20

// A workflow is what matters here of an Argo Workflow.
type workflow struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Entrypoint  string           `json:"entrypoint"`
		Shutdown    string           `json:"shutdown"`
		Suspend     *bool            `json:"suspend"`
		OnExit      string           `json:"onExit"`
		Hooks       map[string]any   `json:"hooks"`
		Claims      []map[string]any `json:"volumeClaimTemplates"`
		TemplateRef *struct {
			Name string `json:"name"`
		} `json:"workflowTemplateRef"`
	} `json:"spec"`
	Status struct {
		Phase      string                   `json:"phase"`
		Message    string                   `json:"message"`
		Progress   string                   `json:"progress"`
		StartedAt  *metav1.Time             `json:"startedAt"`
		FinishedAt *metav1.Time             `json:"finishedAt"`
		Nodes      map[string]*workflowNode `json:"nodes"`
		Compressed string                   `json:"compressedNodes"`
		Offloaded  string                   `json:"offloadNodeStatusVersion"`
		Stored     *struct {
			OnExit string           `json:"onExit"`
			Hooks  map[string]any   `json:"hooks"`
			Claims []map[string]any `json:"volumeClaimTemplates"`
		} `json:"storedWorkflowTemplateSpec"`
		Synchronization *struct {
			Mutex     *workflowLocks `json:"mutex"`
			Semaphore *workflowLocks `json:"semaphore"`
		} `json:"synchronization"`
	} `json:"status"`

	Hidden string `json:"-"` // why the nodes are not known; "" if they are
}

type workflowLocks struct {
	Holding []map[string]any `json:"holding"`
	Waiting []map[string]any `json:"waiting"`
}

// A workflowNode is one step.
type workflowNode struct {
	Name       string       `json:"displayName"`
	Type       string       `json:"type"` // Pod, Suspend, Steps, DAG, Retry …
	Phase      string       `json:"phase"`
	Message    string       `json:"message"`
	StartedAt  *metav1.Time `json:"startedAt"`
	FinishedAt *metav1.Time `json:"finishedAt"`
	Template   string       `json:"templateName"`
}

// readWorkflow converts what the server sent and unpacks its nodes.
func readWorkflow(o *unstructured.Unstructured) (*workflow, error) {
	w := new(workflow)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, w); err != nil {
		return nil, fmt.Errorf("workflow %s/%s has an unexpected form: %w", o.GetNamespace(), o.GetName(), err)
	}
	switch {
	case w.Status.Offloaded != "":
		w.Hidden = "its steps are offloaded to Argo's database; a person can see them in Argo's own page"
	case w.Status.Compressed != "":
		nodes, err := unpackNodes(w.Status.Compressed)
		if err != nil {
			w.Hidden = "its steps are compressed and cannot be read: " + err.Error()
			break
		}
		w.Status.Nodes = nodes
	}
	return w, nil
}

// unpackNodes reads base64 of gzip of JSON, as Argo stores many nodes. What it
// unpacks to is bounded: whoever writes a workflow chooses it.
func unpackNodes(s string) (map[string]*workflowNode, error) {
	packed, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64")
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errors.New("not gzip")
	}
	text, err := io.ReadAll(io.LimitReader(r, maxNodes+1))
	if err != nil || len(text) > maxNodes {
		return nil, errors.New("broken, or more than 16 MiB")
	}
	var nodes map[string]*workflowNode
	if err := json.Unmarshal(text, &nodes); err != nil {
		return nil, errors.New("not JSON")
	}
	return nodes, nil
}

// finished reports whether the workflow has ended.
func (w *workflow) finished() bool {
	return slices.Contains([]string{"Succeeded", "Failed", "Error"}, w.Status.Phase)
}

// failed returns the steps that failed, those that ran first: pods before the
// groups that only repeat their failure.
func (w *workflow) failed() []*workflowNode {
	all := w.nodes(func(n *workflowNode) bool { return n.Phase == "Failed" || n.Phase == "Error" })
	pods := slices.DeleteFunc(slices.Clone(all), func(n *workflowNode) bool { return n.Type != "Pod" })
	if len(pods) > 0 {
		return pods
	}
	return all
}

// nodes returns the steps that keep lets, oldest first.
func (w *workflow) nodes(keep func(*workflowNode) bool) []*workflowNode {
	var all []*workflowNode
	for _, n := range w.Status.Nodes {
		if n != nil && keep(n) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *workflowNode) int {
		return cmp.Or(a.started().Compare(b.started()), strings.Compare(a.Name, b.Name))
	})
	return all
}

func (n *workflowNode) started() time.Time {
	if n.StartedAt == nil {
		return time.Time{}
	}
	return n.StartedAt.Time
}

// waits reports whether the step waits on purpose.
func (n *workflowNode) waits() bool { return n.Type == "Suspend" && n.Phase == "Running" }

// changed is when anything last began or ended in the workflow; when it was
// made, if nothing has.
func (w *workflow) changed() time.Time {
	var last time.Time
	see := func(t *metav1.Time) {
		if t != nil && t.After(last) {
			last = t.Time
		}
	}
	see(w.Status.StartedAt)
	for _, n := range w.Status.Nodes {
		if n != nil {
			see(n.StartedAt)
			see(n.FinishedAt)
		}
	}
	if last.IsZero() {
		return w.Metadata.CreationTimestamp.Time
	}
	return last
}

// suspended says why a workflow that does not move is meant not to; "" if it
// is not.
func (w *workflow) suspended() string {
	if w.Spec.Suspend != nil && *w.Spec.Suspend {
		return "it is suspended"
	}
	if waiting := w.nodes((*workflowNode).waits); len(waiting) > 0 {
		return "its step " + oneLine(waiting[0].Name, 80) + " waits to be resumed"
	}
	return ""
}

// How long nothing may happen in a workflow before it counts as stuck.
const (
	quietTooLong   = 15 * time.Minute // no step runs
	runningTooLong = time.Hour        // a step runs, and may just be slow
)

// stuck says why a running workflow counts as stuck; "" if it does not, or if
// it waits on purpose.
func (w *workflow) stuck(now time.Time) string {
	quiet := now.Sub(w.changed())
	if w.finished() || w.suspended() != "" || quiet < quietTooLong {
		return ""
	}
	pending := w.nodes(func(n *workflowNode) bool { return n.Type == "Pod" && n.Phase == "Pending" })
	running := w.nodes(func(n *workflowNode) bool { return n.Type == "Pod" && n.Phase == "Running" })
	switch {
	case w.Hidden != "" && quiet < runningTooLong:
		return ""
	case w.Spec.Shutdown != "":
		return fmt.Sprintf("was told to %s and has not ended", oneLine(w.Spec.Shutdown, 20))
	case len(running) > 0 && quiet < runningTooLong:
		return ""
	case len(running) > 0:
		return fmt.Sprintf("step %s runs since %s and nothing else happened; it may only be slow", oneLine(running[0].Name, 80), ago(now, running[0].started()))
	case len(pending) > 0:
		return fmt.Sprintf("step %s is pending since %s", oneLine(pending[0].Name, 80), ago(now, pending[0].started()))
	case w.locked() != "":
		return w.locked()
	case len(w.Status.Nodes) == 0 && w.Hidden == "":
		return "has not begun; the workflow controller may be down, or its parallelism used up"
	}
	return "nothing happened since " + ago(now, w.changed())
}

// locked says whether it waits for a mutex or a semaphore.
func (w *workflow) locked() string {
	s := w.Status.Synchronization
	switch {
	case s == nil:
	case s.Mutex != nil && len(s.Mutex.Waiting) > 0:
		return "waits for a mutex that another workflow holds"
	case s.Semaphore != nil && len(s.Semaphore.Waiting) > 0:
		return "waits for a semaphore"
	}
	return ""
}
