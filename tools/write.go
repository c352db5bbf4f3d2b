package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"watchkeeper/runbook"
)

type writeArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster"`
	Namespace string `json:"namespace" jsonschema:"of the object"`
	Name      string `json:"name" jsonschema:"of the object, exact and without its kind"`
	Delivery  string `json:"delivery" jsonschema:"the alert that this is for, or the message of a person who asks for it, as d42"`
	Reason    string `json:"reason" jsonschema:"one sentence for the audit: why this helps"`
	Confirm   string `json:"confirm,omitempty" jsonschema:"on prod: the token that the first call returned"`
}

// check refuses what is not a name before it gets near an address.
func (in writeArgs) check() error {
	var errs []error
	if len(validation.IsDNS1123Label(in.Namespace)) > 0 {
		errs = append(errs, fmt.Errorf("%q is not a namespace: lower-case letters, digits and dashes, at most 63", oneLine(in.Namespace, 80)))
	}
	if len(validation.IsDNS1123Subdomain(in.Name)) > 0 {
		errs = append(errs, fmt.Errorf("%q is not a name in Kubernetes: lower-case letters, digits, dashes and dots", oneLine(in.Name, 80)))
	}
	if oneLine(in.Reason, 500) == "" {
		errs = append(errs, errors.New("reason says nothing; write one sentence on why this helps"))
	}
	return errors.Join(errs...)
}

// A target is the object that a write is about.
type target struct {
	cluster               *Cluster
	clients               *clients
	kind, namespace, name string
}

// String reads "platform-prod/shop/Deployment/cart", as the audit has it.
func (t target) String() string { return path.Join(t.cluster.Name, t.namespace, t.kind, t.name) }

// words reads "Deployment shop/cart in platform-prod (prod)".
func (t target) words() string {
	return fmt.Sprintf("%s in %s (%s)", owner{t.kind, t.namespace, t.name}, t.cluster.Name, orUnknown(t.cluster.Env))
}

// A deed is a write that could be made: what it would do to the object as the
// cluster has it now.
type deed struct {
	uid     types.UID
	version string   // resourceVersion
	would   string   // what would happen, in one sentence
	saw     []string // what the cluster said, foreign
	act     *act     // the request; nothing of it changes any more
	strict  bool     // production rules hold whatever the environment of the cluster

	// follow sees it through after act was sent: how it ended, in words. It may
	// send more, by target.send.
	follow func(ctx context.Context) (runbook.Outcome, []string)
}

// A refusal is an answer: why it is not done, and what a person could do.
type refusal struct{ why, human string }

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("refused, nothing was changed: %s. A person could: %s", r.why, r.human)
}

func refuse(human, why string, args ...any) error {
	return &refusal{fmt.Sprintf(why, args...), human}
}

// patchOf is the act that merges change into the object, provided that it is
// still the one that was looked at.
func patchOf(t target, resource string, kind types.PatchType, m metav1.Object, change map[string]any) (*act, error) {
	meta, _ := change["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		change["metadata"] = meta
	}
	meta["uid"], meta["resourceVersion"] = string(m.GetUID()), m.GetResourceVersion()
	body, err := json.Marshal(change)
	if err != nil {
		return nil, fmt.Errorf("write the patch: %w", err)
	}
	return &act{method: http.MethodPatch, path: pathOf(resource, t.namespace, t.name), contentType: string(kind), body: body}, nil
}

// pathOf builds "/apis/apps/v1/namespaces/shop/deployments/cart" from
// "/apis/apps/v1/deployments". Names were checked; they are escaped too.
func pathOf(resource, namespace, name string) string {
	group, plural := path.Split(resource)
	return group + "namespaces/" + url.PathEscape(namespace) + "/" + plural + "/" + url.PathEscape(name)
}

// send sends a, as a dry run or in earnest, exactly once. The gate below lets
// through nothing else.
func (t target) send(ctx context.Context, a *act, dryRun bool) error {
	cfg, err := t.cluster.config.rest()
	if err != nil {
		return err
	}
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return err
	}
	once := &act{method: a.method, path: a.path, contentType: a.contentType, body: a.body, dryRun: dryRun, base: base}
	req := t.clients.kube.CoreV1().RESTClient().Verb(a.method).AbsPath(a.path).
		SetHeader("Content-Type", a.contentType).SetHeader("Accept", "application/json").Body(a.body).MaxRetries(0).Timeout(requestTimeout)
	for key, values := range once.query() {
		if key != "timeout" {
			req = req.Param(key, values[0])
		}
	}
	return req.Do(once.during(ctx)).Error()
}

// outcomeOf says what an error of a request in earnest means.
func outcomeOf(err error) runbook.Outcome {
	var status apierrors.APIStatus
	if errors.As(err, &status) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) {
		return runbook.WriteFailed
	}
	if strings.Contains(err.Error(), "refused before it was sent") {
		return runbook.WriteFailed
	}
	return runbook.WriteUnknown // it may have arrived
}
