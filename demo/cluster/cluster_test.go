package cluster_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"watchkeeper/demo/cluster"
)

var now = time.Date(2026, 4, 17, 10, 0, 0, 0, time.UTC)

// client starts the sample clusters and returns a real client of one.
func client(t *testing.T, name string) kubernetes.Interface {
	t.Helper()
	srv := httptest.NewServer(cluster.New(now))
	t.Cleanup(srv.Close)
	cs, err := kubernetes.NewForConfig(cluster.RESTConfig(srv.URL, name))
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestListSelectsAsTheRealServerDoes(t *testing.T) {
	pods := client(t, "platform-prod").CoreV1().Pods
	tests := []struct {
		name, namespace string
		opts            metav1.ListOptions
		want            int
		wantErr         string
	}{
		{"all namespaces", "", metav1.ListOptions{}, 41, ""},
		{"one namespace", "tenants", metav1.ListOptions{}, 5, ""},
		{"a label", "", metav1.ListOptions{LabelSelector: "app=cart"}, 3, ""},
		{"a set of labels", "", metav1.ListOptions{LabelSelector: "app in (cart, frontend)"}, 5, ""},
		{"a phase", "", metav1.ListOptions{FieldSelector: "status.phase=Pending"}, 1, ""},
		{"a phase that is not", "shop", metav1.ListOptions{FieldSelector: "status.phase!=Running"}, 0, ""},
		{"a field that cannot be selected", "", metav1.ListOptions{FieldSelector: "status.reason=x"}, 0, "field label not supported"},
		{"a broken selector", "", metav1.ListOptions{LabelSelector: "a in"}, 0, "unable to parse requirement"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := pods(tt.namespace).List(t.Context(), tt.opts)
			checkError(t, err, tt.wantErr)
			if err == nil && len(list.Items) != tt.want {
				t.Errorf("List(%v) gave %d pods, want %d", tt.opts, len(list.Items), tt.want)
			}
		})
	}
}

func TestListComesInPages(t *testing.T) {
	pods := client(t, "platform-prod").CoreV1().Pods("")
	seen := map[string]bool{}
	opts := metav1.ListOptions{Limit: 10}
	for {
		page, err := pods.List(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > 10 {
			t.Fatalf("page of %d, want at most 10", len(page.Items))
		}
		for _, p := range page.Items {
			seen[p.Namespace+"/"+p.Name] = true
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			break
		}
	}
	if len(seen) != 41 {
		t.Errorf("pages gave %d pods, want 41", len(seen))
	}
}

func TestLogsObeyTheirOptions(t *testing.T) {
	cs := client(t, "platform-prod")
	list, err := cs.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{LabelSelector: "app=cart"})
	if err != nil {
		t.Fatal(err)
	}
	i := func(n int64) *int64 { return &n }
	tests := []struct {
		name    string
		opts    corev1.PodLogOptions
		want    string
		wantErr string
	}{
		{"the last line of the previous container", corev1.PodLogOptions{Previous: true, TailLines: i(1)}, "FATAL cannot start: invalid configuration (1 error)\n", ""},
		{"since", corev1.PodLogOptions{SinceSeconds: i(71)}, "FATAL cannot start: invalid configuration (1 error)\n", ""},
		{"bytes", corev1.PodLogOptions{LimitBytes: i(5)}, "INFO ", ""},
		{"time stamps", corev1.PodLogOptions{TailLines: i(1), Timestamps: true}, "2026-04-17T09:58:49.000000000Z FATAL cannot start: invalid configuration (1 error)\n", ""},
		{"no such container", corev1.PodLogOptions{Container: "nope"}, "", "container nope is not valid for pod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream, err := cs.CoreV1().Pods("shop").GetLogs(list.Items[0].Name, &tt.opts).Stream(t.Context())
			checkError(t, err, tt.wantErr)
			if err != nil {
				return
			}
			defer stream.Close()
			if body, _ := io.ReadAll(stream); string(body) != tt.want {
				t.Errorf("log = %q, want %q", body, tt.want)
			}
		})
	}
}

func TestErrorsAreThoseOfTheRealServer(t *testing.T) {
	cs := client(t, "platform-dev")
	if _, err := cs.AppsV1().Deployments("shop").Get(t.Context(), "nope", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get of a missing deployment = %v, want NotFound", err)
	}
	err := cs.CoreV1().Pods("shop").Delete(t.Context(), "cart", metav1.DeleteOptions{})
	if !apierrors.IsMethodNotSupported(err) {
		t.Errorf("delete = %v, want MethodNotAllowed", err)
	}
}

func TestDiscoveryMapsShortAndSingularNames(t *testing.T) {
	srv := httptest.NewServer(cluster.New(now))
	defer srv.Close()
	cfg, err := clientcmd.RESTConfigFromKubeConfig(cluster.Kubeconfig(srv.URL, "platform-dev"))
	if err != nil {
		t.Fatal(err)
	}
	d := memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(cfg))
	m := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(d), d, nil)
	for _, name := range []string{"deploy", "deployment", "deployments"} {
		got, err := m.ResourceFor(schema.GroupVersionResource{Resource: name})
		if err != nil || got.Group != "apps" || got.Resource != "deployments" {
			t.Errorf("ResourceFor(%s) = %v, %v, want apps deployments", name, got, err)
		}
	}
}

func TestUnknownClusterIsNamed(t *testing.T) {
	srv := httptest.NewServer(cluster.New(now))
	defer srv.Close()
	res, err := http.Get(srv.URL + "/clusters/nope/version")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 404 || !strings.Contains(string(body), "platform-dev, platform-prod") {
		t.Errorf("answer = %d %s, want 404 that lists the clusters", res.StatusCode, body)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error = %v, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error = %v, want %q", err, want)
	}
}
