package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	discovery "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// A catalogue is the kinds that a cluster serves, read at the first use and
// again when one is not among them: a new one may have been installed. It is
// safe for concurrent use.
type catalogue struct {
	api rest.Interface

	mu    sync.Mutex
	known []servedKind // in the server's order, best versions first
}

// A servedKind is one kind in one version.
type servedKind struct {
	mapping  meta.RESTMapping
	singular string
	short    []string
}

// find returns the kind that people call by its plural, singular or short
// name, or by the kind itself, in lower case; with a group or without.
func (c *catalogue) find(ctx context.Context, name schema.GroupResource) (*meta.RESTMapping, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.look(name); m != nil {
		return m, nil
	}
	known, err := serve(ctx, c.api)
	if len(known) > 0 {
		c.known = known
	}
	if m := c.look(name); m != nil {
		return m, nil
	}
	if err != nil { // it may be among what could not be read
		return nil, err
	}
	return nil, &meta.NoResourceMatchError{PartialResource: name.WithVersion("")}
}

func (c *catalogue) look(name schema.GroupResource) *meta.RESTMapping {
	i := slices.IndexFunc(c.known, func(s servedKind) bool { return s.called(name) })
	if i < 0 {
		return nil
	}
	return &c.known[i].mapping
}

// called reports whether name means s. A group may be cut short, as in
// applications.argoproj.
func (s servedKind) called(name schema.GroupResource) bool {
	if !strings.HasPrefix(s.mapping.Resource.Group, name.Group) {
		return false
	}
	n := name.Resource
	return n == s.mapping.Resource.Resource || n == s.singular || n == strings.ToLower(s.mapping.GroupVersionKind.Kind) ||
		slices.Contains(s.short, n)
}

// aggregated asks for everything at once, and takes the older form from
// servers that cannot.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

// serve reads what the server serves: the kinds without a group first, then
// the groups in the server's order. What could be read is returned besides the
// error: a group of its own server may be down alone.
func serve(ctx context.Context, api rest.Interface) ([]servedKind, error) {
	var all []servedKind
	var errs []error
	for _, path := range []string{"/api", "/apis"} {
		found, err := serveBelow(ctx, api, path)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func serveBelow(ctx context.Context, api rest.Interface, path string) ([]servedKind, error) {
	text, err := api.Get().AbsPath(path).SetHeader("Accept", aggregated).DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Items    []discovery.APIGroupDiscovery `json:"items"`    // of an APIGroupDiscoveryList
		Versions []string                      `json:"versions"` // of APIVersions
		Groups   []metav1.APIGroup             `json:"groups"`   // of an APIGroupList
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("read the kinds at %s: %w", path, err)
	}
	var all []servedKind
	var errs []error
	for _, g := range answer.Items {
		all = append(all, ofGroup(g)...)
	}
	for _, gv := range versions(answer.Versions, answer.Groups) {
		found, err := ofVersion(ctx, api, path, gv)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// ofGroup reads the newer form.
func ofGroup(g discovery.APIGroupDiscovery) []servedKind {
	var all []servedKind
	for _, v := range g.Versions {
		for _, r := range v.Resources {
			if r.ResponseKind == nil {
				continue
			}
			gv := schema.GroupVersion{Group: g.Name, Version: v.Version}
			all = append(all, served(gv, r.Resource, r.ResponseKind.Kind, r.SingularResource, r.ShortNames, r.Scope == discovery.ScopeNamespace))
		}
	}
	return all
}

// versions lists the versions of the older form, the preferred one of each
// group first.
func versions(core []string, groups []metav1.APIGroup) []schema.GroupVersion {
	var all []schema.GroupVersion
	for _, v := range core {
		all = append(all, schema.GroupVersion{Version: v})
	}
	for _, g := range groups {
		names := []string{g.PreferredVersion.Version}
		for _, v := range g.Versions {
			names = append(names, v.Version)
		}
		for i, v := range names {
			if v != "" && slices.Index(names, v) == i {
				all = append(all, schema.GroupVersion{Group: g.Name, Version: v})
			}
		}
	}
	return all
}

func ofVersion(ctx context.Context, api rest.Interface, path string, gv schema.GroupVersion) ([]servedKind, error) {
	text, err := api.Get().AbsPath(path, gv.Group, gv.Version).SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read the kinds of %s: %w", gv, err)
	}
	var all []servedKind
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") { // a subresource
			all = append(all, served(gv, r.Name, r.Kind, r.SingularName, r.ShortNames, r.Namespaced))
		}
	}
	return all, nil
}

func served(gv schema.GroupVersion, plural, kind, singular string, short []string, namespaced bool) servedKind {
	scope := meta.RESTScopeRoot
	if namespaced {
		scope = meta.RESTScopeNamespace
	}
	return servedKind{meta.RESTMapping{Resource: gv.WithResource(plural), GroupVersionKind: gv.WithKind(kind), Scope: scope}, singular, short}
}
