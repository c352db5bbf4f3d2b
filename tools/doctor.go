package tools

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Words of a [DoctorRow].
const (
	allowed = "allowed"
	denied  = "denied"
	unknown = "unknown"
)

// AgentUser is the account that deploy/kubernetes makes and whose requests its
// policies bound.
const AgentUser = "system:serviceaccount:watchkeeper:agent"

const (
	doctorTimeout    = 30 * time.Second // for one cluster
	doctorConcurrent = 8
)

// A DoctorRow is one thing that the agent should be able to do in a cluster, or
// should not, and what its API server says to it.
type DoctorRow struct {
	Cluster string
	What    string // "patch deployments.apps", "scale a deployment to zero (dry run)"
	Want    string // "allowed", "denied", or what else is right
	Got     string // the same words, or "unknown"
	OK      bool   // also when there was nothing to try it on
	Detail  string // one line; "" if there is no more to say
	Fix     string // "" if OK
}

// Doctor asks every cluster what our credentials may do there, and rehearses
// the writes that RBAC cannot tell apart (a restart and a scaling to zero are
// both "patch deployments") as dry runs. It changes nothing.
//
// The rows come by cluster, in the order of clusters. A cluster that cannot be
// reached has one row.
func Doctor(ctx context.Context, clusters *Clusters) []DoctorRow {
	found := make([][]DoctorRow, len(clusters.all))
	var g errgroup.Group
	for i, c := range clusters.all {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
			defer cancel()
			found[i] = c.examine(ctx)
			return nil
		})
	}
	_ = g.Wait() // nothing above returns an error: it is a row
	var rows []DoctorRow
	for _, r := range found {
		rows = append(rows, r...)
	}
	return rows
}

// A checkup is the examination of one cluster.
type checkup struct {
	cluster *Cluster
	*clients
}

// examine makes the rows of c.
func (c *Cluster) examine(ctx context.Context) []DoctorRow {
	cfg, err := c.config.rest()
	if err != nil {
		return []DoctorRow{c.unreachable(err)}
	}
	cl, err := connect(cfg, rehearses)
	if err != nil {
		return []DoctorRow{c.unreachable(err)}
	}
	k := checkup{c, cl}
	who, err := k.kube.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return []DoctorRow{c.unreachable(c.explain("ask who we are", err))}
	}
	rows := []DoctorRow{k.identity(who.Status.UserInfo.Username)}
	if row, ok := k.expiry(cfg.BearerToken, cfg.BearerTokenFile, time.Now()); ok {
		rows = append(rows, row)
	}
	rows = append(rows, k.rights(ctx)...)
	return append(rows, k.rehearsals(ctx)...)
}

func (c *Cluster) unreachable(err error) DoctorRow {
	return DoctorRow{
		Cluster: c.Name, What: "reach the API server", Want: allowed, Got: unknown, Detail: oneLine(err.Error(), 300),
		Fix: "check the context in the kubeconfig, the way to the API server, and the token (deploy/kubernetes/README.md)",
	}
}

// identity checks that we are whom the policies bound.
func (k checkup) identity(user string) DoctorRow {
	row := DoctorRow{Cluster: k.cluster.Name, What: "be the agent", Want: AgentUser, Got: oneLine(user, 120), OK: user == AgentUser}
	if !row.OK {
		row.Fix = "use a token of ServiceAccount agent in namespace watchkeeper; the admission policies bound nobody else"
	}
	return row
}

// A right is a question to the API server.
type right struct {
	verbs    string // separated by spaces; each is a question
	resource string // "deployments.apps", "pods/eviction"; a name that begins with / is a path
	want     string
}

// rightsOf lists what the agent needs, and what it must not have whoever
// granted it.
func rightsOf() []right {
	return []right{
		{"list", "pods", allowed},
		{"get", "pods/log", allowed},
		{"list", "events", allowed},
		{"list", "nodes", allowed},
		{"list", "namespaces", allowed},
		{"list", "persistentvolumeclaims", allowed},
		{"list", "deployments.apps", allowed},
		{"list", "replicasets.apps", allowed},
		{"list", "statefulsets.apps", allowed},
		{"list", "daemonsets.apps", allowed},
		{"list", "jobs.batch", allowed},
		{"list", "applications.argoproj.io", allowed},
		{"list", "workflows.argoproj.io", allowed},
		{"patch", "deployments.apps", allowed},
		{"create", "pods/eviction", allowed},
		{"patch", "workflows.argoproj.io", allowed},
		{"patch", "applications.argoproj.io", allowed},

		{"create update delete deletecollection", "applications.argoproj.io", denied},
		{"create update delete deletecollection", "workflows.argoproj.io", denied},
		{"create update delete deletecollection", "deployments.apps", denied},
		{"patch update", "deployments.apps/scale", denied},
		{"patch update delete deletecollection", "statefulsets.apps", denied},
		{"patch update", "statefulsets.apps/scale", denied},
		{"create patch delete deletecollection", "pods", denied},
		{"create get", "pods/exec", denied},
		{"create get", "pods/attach", denied},
		{"create get", "pods/portforward", denied},
		{"patch update", "pods/ephemeralcontainers", denied},
		{"get list watch create patch delete deletecollection", "secrets", denied},
		{"patch delete deletecollection", "persistentvolumeclaims", denied},
		{"patch delete", "persistentvolumes", denied},
		{"create patch delete", "namespaces", denied},
		{"patch delete", "nodes", denied},
		{"get create", "nodes/proxy", denied},
		{"get create", "services/proxy", denied},
		{"patch delete", "customresourcedefinitions.apiextensions.k8s.io", denied},
		{"create patch bind escalate", "clusterroles.rbac.authorization.k8s.io", denied},
		{"create patch", "clusterrolebindings.rbac.authorization.k8s.io", denied},
		{"create patch", "rolebindings.rbac.authorization.k8s.io", denied},
		{"patch delete", "validatingadmissionpolicies.admissionregistration.k8s.io", denied},
		{"patch delete", "validatingadmissionpolicybindings.admissionregistration.k8s.io", denied},
		{"create", "mutatingwebhookconfigurations.admissionregistration.k8s.io", denied},
		{"create", "serviceaccounts/token", denied},
		{"create", "certificatesigningrequests.certificates.k8s.io", denied},
		{"impersonate", "users", denied},
		{"impersonate", "groups", denied},
		{"impersonate", "serviceaccounts", denied},
	}
}

// rights asks about all of them.
func (k checkup) rights(ctx context.Context) []DoctorRow {
	all := rightsOf()
	rows := make([]DoctorRow, len(all))
	var g errgroup.Group
	g.SetLimit(doctorConcurrent)
	for i, r := range all {
		g.Go(func() error { rows[i] = k.ask(ctx, r); return nil })
	}
	_ = g.Wait() // nothing above returns an error: it is a row
	return rows
}

// ask makes a row of all verbs of r. Those that have the wrong answer are in
// its detail.
func (k checkup) ask(ctx context.Context, r right) DoctorRow {
	row := DoctorRow{Cluster: k.cluster.Name, What: strings.ReplaceAll(r.verbs, " ", ", ") + " " + r.resource, Want: r.want, Got: r.want, OK: true}
	var wrong []string
	for verb := range strings.FieldsSeq(r.verbs) {
		got, detail := k.may(ctx, verb, r.resource)
		if got == r.want {
			continue
		}
		row.Got, row.OK, row.Fix = got, false, fixOf(r.want, got)
		wrong = append(wrong, cmp.Or(detail, verb))
	}
	row.Detail = oneLine(strings.Join(wrong, ", "), 300)
	return row
}

// may asks whether we may do verb to any object of a resource.
func (k checkup) may(ctx context.Context, verb, resource string) (got, detail string) {
	name, sub, _ := strings.Cut(resource, "/")
	name, group, _ := strings.Cut(name, ".")
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: name, Subresource: sub},
	}}
	answer, err := k.kube.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return unknown, verb + ": " + k.cluster.explain("ask for rights", err).Error()
	case answer.Status.Allowed:
		return allowed, ""
	}
	return denied, ""
}

// fixOf says what to do about an answer that is not the wanted one.
func fixOf(want, got string) string {
	switch {
	case got == unknown:
		return "ask again; if it stays so, look at the detail"
	case want == allowed:
		return "kubectl apply -k deploy/kubernetes"
	}
	return "find the role that grants it with kubectl auth can-i --list, and unbind it; Watchkeeper needs a token of its own account"
}

// dryRunPath are the writes that a rehearsal may send.
var dryRunPath = regexp.MustCompile(`^(PATCH /apis/(apps/v1/namespaces/[^/]+/deployments|argoproj\.io/v1alpha1/namespaces/[^/]+/(workflows|applications))/[^/]+|POST /api/v1/namespaces/[^/]+/pods/[^/]+/eviction)$`)

// rehearses is the permit of Doctor: reads, the question who we are, and dry
// runs of what the guard can do.
func rehearses(r *http.Request) error {
	err := reads(r)
	switch {
	case err == nil:
		return nil
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/apis/authentication.k8s.io/v1/selfsubjectreviews"):
		return nil
	case isDryRun(r) && dryRunPath.MatchString(r.Method+" "+r.URL.Path):
		return nil
	}
	return fmt.Errorf("%w; it may be tried as a dry run only", err)
}

// isDryRun reports whether the server will take r as a rehearsal: it does if
// every value of dryRun says All, and refuses any other.
func isDryRun(r *http.Request) bool {
	values := r.URL.Query()["dryRun"]
	return len(values) == 1 && values[0] == metav1.DryRunAll
}
