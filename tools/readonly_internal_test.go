package tools

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Whatever the path, a method that changes something does not leave, and what
// tunnels does not leave whatever the method.
func TestNoReaderChangesAnything(t *testing.T) {
	paths := []string{
		"/api/v1/namespaces/shop", "/api/v1/namespaces/shop/pods", "/api/v1/namespaces/shop/pods/cart", "/api/v1/namespaces/shop/pods/cart/log",
		"/api/v1/namespaces/shop/pods/cart/eviction", "/api/v1/namespaces/shop/pods/cart/status", "/api/v1/namespaces/shop/pods/cart/ephemeralcontainers",
		"/api/v1/namespaces/shop/pods/cart/binding", "/api/v1/namespaces/shop/pods/cart/resize", "/api/v1/namespaces/shop/finalize",
		"/api/v1/namespaces/shop/secrets/db", "/api/v1/namespaces/shop/persistentvolumeclaims/data", "/api/v1/persistentvolumes/data", "/api/v1/nodes/n1",
		"/api/v1/namespaces/shop/serviceaccounts/agent/token", "/apis/apps/v1/namespaces/shop/deployments/cart", "/apis/apps/v1/namespaces/shop/deployments/cart/scale",
		"/apis/apps/v1/namespaces/shop/statefulsets/db", "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/cart", "/apis/argoproj.io/v1alpha1/namespaces/shop/workflows/w",
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
		"/apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/applications.argoproj.io",
		"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/x",
	}
	queries := []string{"", "?dryRun=All", "?log?", "?follow=true&tailLines=1", "?force=true&fieldManager=watchkeeper"}
	for _, prefix := range []string{"", "/k8s/clusters/c-1"} {
		for _, path := range paths {
			for _, query := range queries {
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "post", "DELETECOLLECTION"} {
					leaves(t, method, prefix+path+query, false)
				}
			}
			leaves(t, "GET", prefix+path, true) // it is the method that is refused
		}
	}
}

func TestNoReaderTunnels(t *testing.T) {
	for _, path := range []string{
		"/api/v1/namespaces/shop/pods/cart/exec", "/api/v1/namespaces/shop/pods/cart/exec?command=sh&stdin=true", "/api/v1/namespaces/shop/pods/cart/attach",
		"/api/v1/namespaces/shop/pods/cart/portforward?ports=5432", "/api/v1/namespaces/shop/pods/cart/proxy", "/api/v1/namespaces/shop/pods/cart:8080/proxy/",
		"/api/v1/namespaces/shop/pods/https:cart:8443/proxy/admin/delete", "/api/v1/namespaces/shop/services/cart/proxy/log?", "/api/v1/namespaces/shop/services/http:cart:80/proxy/x",
		"/api/v1/nodes/n1/proxy", "/api/v1/nodes/n1:10250/proxy/run/shop/cart/main", "/api/v1/nodes/n1/proxy/logs/?",
		"/api/v1/namespaces/shop/pods/cart%2Fexec", "/api/v1/namespaces/shop/pods/cart/%65xec", "/api/v1/namespaces/shop/pods/x/..%2fcart/exec", "/api/v1/namespaces/shop/pods//cart//exec",
		"/api/v1/namespaces/shop/pods/cart/log/../exec", "/api/v1/namespaces/shop/pods/%2e%2e/secrets/db", "/api/v1/namespaces/shop/pods/cart%252Fexec", `/api/v1/namespaces/shop/pods/cart\exec`,
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			leaves(t, method, path, false)
			leaves(t, method, "/k8s/clusters/c-1"+path, false)
		}
	}
	r := httptest.NewRequest("GET", "/api/v1/namespaces/shop/pods/cart/log", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "SPDY/3.1")
	if reads(r) == nil {
		t.Error("a connection of its own leaves")
	}
}

// leaves checks whether a request of a reading tool would be sent, also as one
// outside of an act.
func leaves(t *testing.T, method, path string, want bool) {
	t.Helper()
	r, err := http.NewRequest(method, "https://h:6443"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]permit{"reads": reads, "guarded": guarded} {
		if err := p(r); (err == nil) != want {
			t.Errorf("%s(%s %s) = %v, want it sent: %v", name, method, path, err, want)
		}
	}
}

// The gate is below the clients that a handler holds: there is no way around it.
func TestTheGateIsBelowTheClients(t *testing.T) {
	var arrived atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		http.Error(w, "{}", http.StatusTeapot)
	}))
	t.Cleanup(srv.Close)
	c, err := NewClusters(ClusterConfig{Name: "c", Config: &rest.Config{Host: srv.URL}}).Get("c")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := c.clients()
	if err != nil {
		t.Fatal(err)
	}
	api := cl.dynamic.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace("shop")
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "cart", "resourceVersion": "1"}}}
	for name, change := range map[string]func() error{
		"create":           func() error { _, err := api.Create(t.Context(), o, metav1.CreateOptions{}); return err },
		"update":           func() error { _, err := api.Update(t.Context(), o, metav1.UpdateOptions{}); return err },
		"status":           func() error { _, err := api.UpdateStatus(t.Context(), o, metav1.UpdateOptions{}); return err },
		"patch":            func() error { return patchCart(t, cl, nil) },
		"patch, dry":       func() error { return patchCart(t, cl, []string{metav1.DryRunAll}) },
		"delete":           func() error { return api.Delete(t.Context(), "cart", metav1.DeleteOptions{}) },
		"deletecollection": func() error { return api.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}) },
		"apply": func() error {
			_, err := api.Apply(t.Context(), "cart", o, metav1.ApplyOptions{FieldManager: "x", Force: true})
			return err
		},
		"the typed client": func() error {
			return cl.kube.CoreV1().RESTClient().Delete().Namespace("shop").Resource("pods").Name("cart").Do(t.Context()).Error()
		},
	} {
		if err := change(); err == nil || !strings.Contains(err.Error(), "refused before it was sent") {
			t.Errorf("%s: %v, want it refused before it was sent", name, err)
		}
	}
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d requests arrived at the API server, want none", n)
	}
}

func patchCart(t *testing.T, cl *clients, dryRun []string) error {
	t.Helper()
	_, err := cl.dynamic.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace("shop").
		Patch(t.Context(), "cart", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{DryRun: dryRun})
	return err
}

// GitLab is read, and SigNoz is asked; neither is changed.
func TestOutsideIsOnlyAsked(t *testing.T) {
	tests := []struct {
		name, method, path string
		permit             permit
		ok                 bool
	}{
		{"GitLab: read", "GET", "/api/v4/projects/1/merge_requests", onlyGets, true},
		{"GitLab: merge", "PUT", "/api/v4/projects/1/merge_requests/7/merge", onlyGets, false},
		{"GitLab: push", "POST", "/api/v4/projects/1/repository/commits", onlyGets, false},
		{"GitLab: start a pipeline", "POST", "/api/v4/projects/1/pipeline", onlyGets, false},
		{"GitLab: delete", "DELETE", "/api/v4/projects/1", onlyGets, false},
		{"SigNoz: read", "GET", "/api/v2/rules", onlyAsks, true},
		{"SigNoz: ask", "POST", "/api/v5/query_range", onlyAsks, true},
		{"SigNoz: ask for a history", "POST", "/api/v1/rules/17/history/timeline", onlyAsks, true},
		{"SigNoz: make a rule", "POST", "/api/v2/rules", onlyAsks, false},
		{"SigNoz: silence", "POST", "/api/v1/downtime_schedules", onlyAsks, false},
		{"SigNoz: change a rule", "PUT", "/api/v2/rules/17", onlyAsks, false},
		{"SigNoz: disable a rule", "PATCH", "/api/v2/rules/17", onlyAsks, false},
		{"SigNoz: delete a rule", "DELETE", "/api/v2/rules/17", onlyAsks, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.permit(httptest.NewRequest(tt.method, tt.path, nil)); (err == nil) != tt.ok {
				t.Errorf("%s %s = %v, want it sent: %v", tt.method, tt.path, err, tt.ok)
			}
		})
	}
}
