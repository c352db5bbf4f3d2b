package tools

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"watchkeeper/runbook"
)

func clearStuckWorkflow() work {
	return work{
		action: "clear_stuck_workflow", kind: "Workflow", hint: destructive,
		description: "End an Argo Workflow that does not move: Stop, and Terminate if it has not ended within half a minute. It is never deleted, but what it computed so far is lost. " +
			"Refuses what is suspended on purpose, still makes progress, or has volumes, an exit handler or hooks of its own. On prod the first call only shows what would happen and returns the confirm token.",
		prepare: prepareWorkflow,
	}
}

func prepareWorkflow(ctx context.Context, _ *guard, t target) (*deed, error) {
	o, w, err := t.workflow(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := workflowAllows(w, now); err != nil {
		return nil, err
	}
	next := "Stop"
	if w.Spec.Shutdown == "Stop" {
		next = "Terminate"
	}
	a, err := shutdown(t, o, next)
	if err != nil {
		return nil, err
	}
	return &deed{
		uid: o.GetUID(), version: o.GetResourceVersion(), act: a,
		saw:    append([]string{w.headline(now)}, w.why(now, 3)...),
		would:  fmt.Sprintf("tell it to %s%s; what it computed so far may be lost", next, map[string]string{"Stop": ", and to Terminate if that does not end it"}[next]),
		follow: func(ctx context.Context) (runbook.Outcome, []string) { return t.seeEnded(ctx, o.GetUID(), next) },
	}, nil
}

// workflow reads the target as it is now.
func (t target) workflow(ctx context.Context) (*unstructured.Unstructured, *workflow, error) {
	o, err := t.clients.dynamic.Resource(argoWorkflow).Namespace(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, t.cluster.explainArgo("Argo Workflows", "look at "+t.words(), err)
	}
	w, err := readWorkflow(o)
	return o, w, err
}

// workflowAllows refuses what has ended, waits on purpose, still moves, or
// would do more than end.
func workflowAllows(w *workflow, now time.Time) error {
	switch {
	case w.Metadata.DeletionTimestamp != nil:
		return refuse("find out who deletes it", "the workflow is being deleted")
	case w.finished():
		return refuse("nothing; resubmit it if its result is needed", "the workflow has ended already (%s)", oneLine(w.Status.Phase, 20))
	case w.suspended() != "":
		return refuse("resume or stop it, if that is right", "it is not stuck: %s", w.suspended())
	case len(w.obstacles()) > 0:
		return refuse("stop it by hand, knowing that", "%s", strings.Join(w.obstacles(), "; "))
	case w.Hidden != "":
		return refuse("look at it in Argo's own page", "whether it waits on purpose is not visible: %s", w.Hidden)
	case w.Spec.Shutdown != "" && w.Spec.Shutdown != "Stop":
		return refuse("look at the workflow controller, which does not act", "it was told to %s already", oneLine(w.Spec.Shutdown, 20))
	case w.stuck(now) == "":
		return refuse("nothing yet; look again later", "it is not stuck: something happened in it %s", ago(now, w.changed()))
	}
	return nil
}

// shutdown is the act that tells the workflow to Stop or to Terminate.
func shutdown(t target, o *unstructured.Unstructured, how string) (*act, error) {
	return patchOf(t, "/apis/argoproj.io/v1alpha1/workflows", types.MergePatchType, o, map[string]any{"spec": map[string]any{"shutdown": how}})
}

// seeEnded waits until the workflow has ended, and terminates it if telling it
// to stop was not enough.
func (t target) seeEnded(ctx context.Context, uid types.UID, how string) (runbook.Outcome, []string) {
	after := []string{"told to " + how}
	takes := patience(ctx) * 3 / 8 // half a minute
	if how == "Terminate" {
		takes = patience(ctx)
	}
	stopping, cancel := context.WithTimeout(ctx, takes)
	defer cancel()
	phase, ended := t.waitForEnd(stopping, uid)
	if !ended && how == "Stop" && ctx.Err() == nil {
		if err := t.terminate(ctx, uid); err != nil {
			return runbook.WriteFailed, append(after, "it did not stop within "+runbook.Short(takes), "and could not be told to Terminate: "+oneLine(err.Error(), messageLimit))
		}
		after = append(after, "did not stop within "+runbook.Short(takes)+", told to Terminate")
		phase, ended = t.waitForEnd(ctx, uid)
	}
	if !ended {
		return runbook.WriteFailed, append(after, "it has not ended; the workflow controller may be down")
	}
	return runbook.WriteOK, append(after, "ended as "+phase)
}

// waitForEnd returns how the workflow ended, and whether it did.
func (t target) waitForEnd(ctx context.Context, uid types.UID) (phase string, ended bool) {
	ended = watch(ctx, func(ctx context.Context) (bool, error) {
		o, w, err := t.workflow(ctx)
		if err != nil {
			return false, err
		}
		phase = oneLine(w.Status.Phase, 20)
		return o.GetUID() == uid && w.finished(), nil
	})
	return phase, ended
}

// terminate tells the same workflow to Terminate.
func (t target) terminate(ctx context.Context, uid types.UID) error {
	o, w, err := t.workflow(ctx)
	if err != nil {
		return err
	}
	if o.GetUID() != uid || w.finished() {
		return fmt.Errorf("it is another one by now, or has just ended")
	}
	a, err := shutdown(t, o, "Terminate")
	if err != nil {
		return err
	}
	return t.send(ctx, a, false)
}
