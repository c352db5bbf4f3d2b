package tools

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"watchkeeper/runbook"
)

// A place is where a service was found that the alert puts nowhere: an alert
// of SigNoz names a cluster only if its rule groups by it.
type place struct {
	cluster string // "" if it is not certain
	why     string // in a sentence; "" if nothing was searched
}

// search looks for the service of l in every configured cluster of its
// environment. It is certain of one only if all of them answer and no other
// runs a workload of that name.
func (f *FirstLook) search(ctx context.Context, l Look) place {
	if l.Cluster != "" || l.Service == "" || checkNames("", l.Service) != nil {
		return place{}
	}
	var (
		wg           sync.WaitGroup
		mu           sync.Mutex
		found, blind []string
		asked        int
	)
	for _, c := range f.cfg.Clusters.All() {
		if l.Env != runbook.EnvUnknown && l.Env != "" && orUnknown(c.Env) != l.Env {
			continue
		}
		asked++
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
			defer cancel()
			runs, err := c.runs(ctx, l.Service)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				blind = append(blind, c.Name)
			case runs:
				found = append(found, c.Name)
			}
		})
	}
	wg.Wait()
	if asked == 0 {
		return place{}
	}
	slices.Sort(found)
	slices.Sort(blind)
	return placeOf(l.Service, found, blind)
}

func placeOf(service string, found, blind []string) place {
	switch {
	case len(found) == 1 && len(blind) == 0:
		return place{found[0], fmt.Sprintf("The alert names no cluster; only %s runs a workload called %s, and that one is shown.", found[0], service)}
	case len(found) > 0 && len(blind) > 0:
		return place{why: fmt.Sprintf("%s runs in %s, and %s did not answer", service, strings.Join(found, ", "), strings.Join(blind, ", "))}
	case len(found) > 0:
		return place{why: fmt.Sprintf("%s runs in %s; ask for each", service, strings.Join(found, ", "))}
	case len(blind) > 0:
		return place{why: fmt.Sprintf("%s was not found, and %s did not answer", service, strings.Join(blind, ", "))}
	}
	return place{why: "no workload is called " + service}
}

// where is the cluster that is looked at: the alert's, else the one that was
// found.
func (l Look) where() string { return cmp.Or(l.Cluster, l.place.cluster) }

// Inferred says how the cluster was found of an alert that names none, "" if it
// names one or none was found. Where a service is thought to be proves nothing
// about the alert.
func (l Look) Inferred() string {
	if l.place.cluster == "" {
		return ""
	}
	return l.place.why
}

// runs reports whether c has a workload of that name.
func (c *Cluster) runs(ctx context.Context, name string) (bool, error) {
	clients, err := c.clients()
	if err != nil {
		return false, err
	}
	apps := clients.kube.AppsV1()
	one := metav1.ListOptions{FieldSelector: "metadata.name=" + name, Limit: 1}
	for _, list := range []func() (runtime.Object, error){
		func() (runtime.Object, error) { return apps.Deployments("").List(ctx, one) },
		func() (runtime.Object, error) { return apps.StatefulSets("").List(ctx, one) },
		func() (runtime.Object, error) { return apps.DaemonSets("").List(ctx, one) },
	} {
		all, err := list()
		if err != nil {
			return false, c.explain("look for "+name, err)
		}
		if meta.LenList(all) > 0 {
			return true, nil
		}
	}
	return false, nil
}
