package kubetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// A Request is one that the API server received from the agent.
type Request struct {
	Verb      string // "patch", "create" …
	Resource  string // "deployments.apps", "pods/eviction"
	Namespace string
	Name      string
	DryRun    bool
	Code      int             // HTTP status of the answer
	Body      json.RawMessage // what was sent; nil for reads
}

// String reads "patch deployments.apps shop/cart 200" or "… 403 (dry run)".
func (r Request) String() string {
	s := fmt.Sprintf("%s %s %s/%s %d", r.Verb, r.Resource, r.Namespace, r.Name, r.Code)
	if r.DryRun {
		s += " (dry run)"
	}
	return s
}

// markers numbers the requests that mark a place in the audit log.
var markers atomic.Int64

// AgentWrites returns what the agent asked to change in a namespace so far, as
// the API server logged it, in the order of the answers: refused requests and
// dry runs too, but no reads and no reviews of its own rights. "" is everywhere.
func (c *Cluster) AgentWrites(tb testing.TB, namespace string) []Request {
	tb.Helper()
	c.mark(tb)
	text, err := os.ReadFile(c.AuditLog)
	if err != nil {
		tb.Fatal(err)
	}
	var all []Request
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		var e auditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // the line that is being written
		}
		if e.writes() && (namespace == "" || e.ObjectRef.Namespace == namespace) {
			all = append(all, e.request())
		}
	}
	return all
}

// mark sends a request that means nothing and waits until it is in the log:
// what came before it is there by then.
func (c *Cluster) mark(tb testing.TB) {
	tb.Helper()
	kube, err := kubernetes.NewForConfig(c.Agent)
	if err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("audit-marker-%d", markers.Add(1))
	_, _ = kube.CoreV1().Pods("default").Get(tb.Context(), name, metav1.GetOptions{}) // there is no such pod
	Eventually(tb, "the audit log", func() bool {
		text, err := os.ReadFile(c.AuditLog)
		return err == nil && bytes.Contains(text, []byte("/"+name+`"`))
	})
}

// An auditEvent is a line of the audit log, as far as we read it.
type auditEvent struct {
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	RequestObject json.RawMessage `json:"requestObject"`
}

func (e auditEvent) writes() bool {
	return !slices.Contains([]string{"get", "list", "watch"}, e.Verb) && e.ObjectRef.APIGroup != "authorization.k8s.io"
}

func (e auditEvent) request() Request {
	o := e.ObjectRef
	resource := o.Resource
	if o.Subresource != "" {
		resource += "/" + o.Subresource
	}
	// The group of a subresource may be that of its own kind, policy for evictions.
	if o.APIGroup != "" && o.Resource != "pods" {
		resource += "." + o.APIGroup
	}
	dry := strings.Contains(e.RequestURI, "dryRun=All") || bytes.Contains(e.RequestObject, []byte(`"dryRun":["All"]`))
	return Request{e.Verb, resource, o.Namespace, o.Name, dry, e.ResponseStatus.Code, e.RequestObject}
}
