package tools

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"watchkeeper/mcptool"
	"watchkeeper/runbook"
)

// protectedLabel on a namespace forbids every write in it, whatever its value.
// The admission policies of deploy/kubernetes say the same.
const protectedLabel = "watchkeeper.io/protected"

// alwaysProtected are namespaces in which nothing is changed, whatever the
// configuration says.
var alwaysProtected = []string{"kube-system", "kube-public", "kube-node-lease", "argocd", "watchkeeper"}

// seeThrough is how long a write is watched after it was sent, unless the
// configuration says otherwise. A tool has two minutes.
const seeThrough = 80 * time.Second

// A ledger is what the guard needs of the memory.
type ledger interface {
	claimer
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
	Audit(ctx context.Context, a runbook.AuditEntry) error
	AllowWrite(ctx context.Context, w runbook.Write, l runbook.WriteLimits, now time.Time) error
	BeginWrite(ctx context.Context, w runbook.Write, l runbook.WriteLimits, now time.Time) (runbook.Write, error)
	EndWrite(ctx context.Context, w runbook.Write, o runbook.Outcome, detail string, now time.Time) error
	Confirmation(ctx context.Context, token string, w runbook.Write, expires time.Time) error
}

// WritesConfig bounds what the tools may change. The zero value allows nothing.
type WritesConfig struct {
	Policy    runbook.Policy    // protected namespaces, and what is left to a person
	Playbooks runbook.Playbooks // what may be done for an alert; without them only what a person asks for
	Limits    runbook.WriteLimits
	Actor     string        // in the audit; "" is "session"
	Patience  time.Duration // how long a write is watched after it was sent; 0 is 80 seconds
}

// Writes returns the four tools that change something in a cluster:
// restart_deployment, delete_stuck_pod, clear_stuck_workflow and
// refresh_argocd_app. All of them pass the guard:
//
//  1. a mandate: an open alert of that cluster whose playbook allows the action,
//     or the message of a person who asks for it;
//  2. policy: protected namespaces, limits, the circuit breaker, and on
//     production one action for each alert;
//  3. what the cluster says now, against the preconditions of the action;
//  4. a dry run on the API server, which asks RBAC and the admission policies;
//  5. on production a second call, with the token that the first one returned;
//  6. an audit entry, before anything is sent;
//  7. the request, with the UID and the resourceVersion that were looked at;
//  8. a look at what became of it, and a second audit entry.
func Writes(clusters *Clusters, l ledger, cfg WritesConfig) []server.ServerTool {
	cfg.Actor, cfg.Patience = orElse(cfg.Actor, "session"), cmp.Or(cfg.Patience, seeThrough)
	g := &guard{clusters, l, cfg}
	return []server.ServerTool{
		g.tool(restartDeployment()), g.tool(deleteStuckPod()), g.tool(clearStuckWorkflow()), g.tool(refreshArgocdApp()),
	}
}

// A guard stands between the session and the clusters.
type guard struct {
	clusters *Clusters
	ledger   ledger
	cfg      WritesConfig
}

// A work is one of the four things that may be done.
type work struct {
	action, kind string
	description  string
	hint         mcptool.Hint
	elsewhere    bool // its effect is in another namespace or cluster, which prepare checks

	// prepare looks at the object and returns what would be done, or a refusal.
	prepare func(ctx context.Context, g *guard, t target) (*deed, error)
}

func (g *guard) tool(w work) server.ServerTool {
	return tool(w.action, w.description, w.hint, func(ctx context.Context, in writeArgs) (string, error) {
		o, err := g.order(ctx, w, in)
		if err != nil {
			return "", err
		}
		text, err := o.run(ctx)
		if r := (*refusal)(nil); errors.As(err, &r) {
			return "", errors.Join(err, o.audit(ctx, r.why))
		}
		return text, err
	})
}

// An order is one call of a write.
type order struct {
	*guard
	work
	target
	delivery        runbook.Delivery
	reason, confirm string
}

// order reads the arguments of a call.
func (g *guard) order(ctx context.Context, w work, in writeArgs) (*order, error) {
	c, err := g.clusters.Get(in.Cluster)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	d, err := claim(ctx, g.ledger, in.Delivery)
	if err != nil {
		return nil, err
	}
	cl, err := c.clients()
	if err != nil {
		return nil, err
	}
	return &order{
		guard: g, work: w, target: target{c, cl, w.kind, in.Namespace, in.Name},
		delivery: d, reason: oneLine(in.Reason, 500), confirm: strings.TrimSpace(in.Confirm),
	}, nil
}

// run takes an order through the guard.
func (o *order) run(ctx context.Context) (string, error) {
	if err := o.mandated(ctx, time.Now()); err != nil {
		return "", err
	}
	if !o.elsewhere {
		if err := o.unprotected(ctx, o.target, o.namespace); err != nil {
			return "", err
		}
	}
	d, err := o.prepare(ctx, o.guard, o.target)
	if err != nil {
		return "", err
	}
	strict := o.cluster.Env.Strict() || d.strict
	w := runbook.Write{
		Action: o.action, Target: o.String(), Actor: o.cfg.Actor, Reason: o.reason,
		Delivery: o.delivery.ID, UID: string(d.uid), Version: d.version,
		Once: strict && o.delivery.Kind != runbook.EventMessage,
	}
	if err := o.ledger.AllowWrite(ctx, w, o.cfg.Limits, time.Now()); err != nil {
		return o.denied(err)
	}
	if err := o.send(ctx, d.act, true); err != nil {
		return "", o.rejected(err)
	}
	if strict {
		if o.confirm == "" {
			return o.ask(ctx, d, w)
		}
		w.Confirm = o.confirm
	}
	w, err = o.ledger.BeginWrite(ctx, w, o.cfg.Limits, time.Now())
	if err != nil {
		return o.denied(err)
	}
	return o.carryOut(ctx, d, w)
}

// unprotected refuses what is in a protected namespace, or in one that is not
// known.
func (g *guard) unprotected(ctx context.Context, t target, namespace string) error {
	glob := func(p string) bool { return p != "" && runbook.Glob(p, namespace) }
	if slices.Contains(alwaysProtected, namespace) || slices.ContainsFunc(g.cfg.Policy.ProtectedNamespaces, glob) {
		return refuse("do it by hand, if it is right", "namespace %s is protected, and nothing is ever changed in it", namespace)
	}
	ns, err := t.clients.kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s has no namespace %s", t.cluster.Name, namespace)
	case err != nil:
		return t.cluster.explain("look at namespace "+namespace, err)
	case ns.DeletionTimestamp != nil:
		return refuse("find out who deletes it", "namespace %s is being deleted", namespace)
	}
	if _, labelled := ns.Labels[protectedLabel]; labelled {
		return refuse("do it by hand, if it is right", "namespace %s is protected by its label %s", namespace, protectedLabel)
	}
	return nil
}

// denied explains a limit, the breaker, a confirmation that does not hold, or
// that the same is being done already.
func (o *order) denied(err error) (string, error) {
	var d *runbook.WriteDenied
	switch {
	case !errors.As(err, &d):
		return "", err
	case d.Running != 0:
		return fmt.Sprintf("Nothing was done a second time: %s. Its result is in the other call.\n", d.Error()), nil
	case d.Earlier != 0:
		return "", &refusal{d.Error(), decideByPerson}
	case strings.Contains(d.Why, "confirm token"):
		return "", &refusal{d.Error(), "nothing; call again without confirm to see the object as it is now and to get a new token"}
	case d.Until.IsZero():
		return "", &refusal{d.Error(), "allow them there, or do it by hand"}
	}
	return "", &refusal{d.Error(), "do it by hand; look first at what the writes before did"}
}

// rejected explains what the API server said to the dry run.
func (o *order) rejected(err error) error {
	switch {
	case apierrors.IsTooManyRequests(err):
		return refuse("wait until the other pods are well, or evict it by hand", "a PodDisruptionBudget does not let it go (%s)", oneLine(err.Error(), messageLimit))
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return refuse("look whether deploy/kubernetes is applied as it is; if it is, the refusal is right", "the API server does not accept it (%s)", oneLine(err.Error(), messageLimit))
	case apierrors.IsConflict(err):
		return refuse("nothing; call again, it changed while it was looked at", "the object changed in between (%s)", oneLine(err.Error(), messageLimit))
	}
	return o.cluster.explain("try "+o.action+" without changing anything", err)
}

// ask returns what would be done, with the token that does it.
func (o *order) ask(ctx context.Context, d *deed, w runbook.Write) (string, error) {
	token := rand.Text()[:12]
	if err := o.ledger.Confirmation(ctx, token, w, time.Now().Add(runbook.ConfirmWithin)); err != nil {
		return "", fmt.Errorf("keep the confirmation: %w", err)
	}
	out := newPage(maxTokens / 4)
	out.say("NOTHING WAS CHANGED YET. %s of %s would %s.", o.action, o.words(), d.would)
	out.quote(d.saw...)
	out.say("The API server would accept it. Is it what you mean? Then call %s again with the same arguments and confirm=%s within 5 minutes; it holds once, and only while the object stays as it is.", o.action, token)
	return out.String(), nil
}

// carryOut sends what was begun, sees it through and records the end.
func (o *order) carryOut(ctx context.Context, d *deed, w runbook.Write) (string, error) {
	began := time.Now()
	outcome, after := o.sendAndSee(ctx, d)
	took := time.Since(began).Round(100 * time.Millisecond)
	// The end is recorded even if the session has hung up.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := o.ledger.EndWrite(keep, w, outcome, oneLine(strings.Join(after, "; "), 1000), time.Now())
	out := newPage(maxTokens / 4)
	out.say("%s: %s of %s, %s.", headings[outcome], o.action, o.words(), took)
	out.quote(indented("before: ", d.saw)...)
	out.quote(indented("after: ", after)...)
	if outcome != runbook.WriteOK {
		out.say("Do not do it again for this event. A person should look; kube_problems shows how it is now.")
	}
	if err != nil {
		out.say("The end could not be recorded: %s.", oneLine(err.Error(), 200))
	}
	return out.String(), nil
}

var headings = map[runbook.Outcome]string{
	runbook.WriteOK:      "DONE",
	runbook.WriteFailed:  "DID NOT WORK",
	runbook.WriteUnknown: "SENT, AND NOT SEEN THROUGH",
}

func indented(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = prefix + l
	}
	return out
}

func (o *order) sendAndSee(ctx context.Context, d *deed) (runbook.Outcome, []string) {
	// Once begun it is not cut short: a request that was cancelled on its way
	// may have arrived or not.
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if err := o.send(sending, d.act, false); err != nil {
		if apierrors.IsConflict(err) {
			return runbook.WriteFailed, []string{"the object changed at the last moment, so nothing was done: " + oneLine(err.Error(), messageLimit)}
		}
		return outcomeOf(err), []string{oneLine(o.cluster.explain("send it", err).Error(), messageLimit)}
	}
	watching, cancel := context.WithTimeout(ctx, o.cfg.Patience)
	defer cancel()
	outcome, after := d.follow(watching)
	if outcome != runbook.WriteOK && ctx.Err() != nil {
		return runbook.WriteUnknown, append(after, "the session hung up, so it was not seen through")
	}
	return outcome, after
}

// patience is the time that is left to watch, rounded.
func patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return seeThrough
	}
	return time.Until(deadline).Round(100 * time.Millisecond)
}

// audit records a refusal.
func (o *order) audit(ctx context.Context, why string) error {
	return o.ledger.Audit(ctx, runbook.AuditEntry{
		At: time.Now(), Actor: o.cfg.Actor, Action: o.action,
		Target: o.String(), Phase: "refused", Detail: oneLine(why, 500), Delivery: o.delivery.ID,
	})
}

// watch calls look every half second until it is done or ctx ends; it reports
// whether it was done. An error of look is tried again: the answer matters more
// than one lost connection.
func watch(ctx context.Context, look func(context.Context) (done bool, err error)) bool {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := look(ctx); done && err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
