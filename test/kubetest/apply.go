package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Apply creates or changes the objects of a YAML text, one or several
// documents, as the administrator. Those that live in a namespace and name none
// go to namespace.
func (c *Cluster) Apply(tb testing.TB, namespace, text string) {
	tb.Helper()
	if err := c.apply(tb.Context(), namespace, []byte(text)); err != nil {
		tb.Fatal(err)
	}
}

// apply is a server-side apply: client-side, Argo CD's definition would not fit
// into its annotation.
func (c *Cluster) apply(ctx context.Context, namespace string, text []byte) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.Kube.Discovery()))
	docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var o unstructured.Unstructured
		if err := docs.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read objects: %w", err)
		}
		if len(o.Object) == 0 {
			continue
		}
		api, err := c.apiOf(mapper, namespace, &o)
		if err != nil {
			return err
		}
		if _, err := api.Apply(ctx, o.GetName(), &o, metav1.ApplyOptions{FieldManager: "kubetest", Force: true}); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
}

// apiOf returns where an object goes, and gives it its namespace.
func (c *Cluster) apiOf(mapper meta.RESTMapper, namespace string, o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	m, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", kind, err)
	}
	if m.Scope.Name() == meta.RESTScopeNameRoot {
		return c.Dynamic.Resource(m.Resource), nil
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(namespace)
	}
	return c.Dynamic.Resource(m.Resource).Namespace(o.GetNamespace()), nil
}
