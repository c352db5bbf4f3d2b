package tools

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The gate of the writes is tested from inside too: whatever a handler would
// send by mistake, only the request of the act in progress leaves.
func TestOnlyTheRequestOfTheActLeaves(t *testing.T) {
	const cart = "https://h:6443/prefix/apis/apps/v1/namespaces/shop/deployments/cart"
	const asked = cart + "?fieldManager=watchkeeper&timeout=15s"
	const patch, body = "application/strategic-merge-patch+json", `{"spec":{}}`
	tests := []struct {
		name, method, url, contentType, body string
		ok                                   bool
	}{
		{"the act itself", "PATCH", asked, patch, body, true},
		{"reading meanwhile", "GET", cart, "", "", true},
		{"another object", "PATCH", strings.Replace(asked, "/cart", "/orders", 1), patch, body, false},
		{"another namespace", "PATCH", strings.Replace(asked, "/shop/", "/data/", 1), patch, body, false},
		{"another server", "PATCH", strings.Replace(asked, "h:6443", "evil", 1), patch, body, false},
		{"without encryption", "PATCH", strings.Replace(asked, "https:", "http:", 1), patch, body, false},
		{"the scale of it", "PATCH", strings.Replace(asked, "/cart", "/cart/scale", 1), patch, body, false},
		{"an escaped way to another", "PATCH", strings.Replace(asked, "/cart", "/..%2Forders", 1), patch, body, false},
		{"another method", "DELETE", asked, patch, body, false},
		{"another type of patch", "PATCH", asked, "application/apply-patch+yaml", body, false},
		{"another body", "PATCH", asked, patch, `{"spec":{"replicas":0}}`, false},
		{"forced", "PATCH", asked + "&force=true", patch, body, false},
		{"as a dry run, which this act is not", "PATCH", asked + "&dryRun=All", patch, body, false},
		{"a tunnel meanwhile", "GET", "https://h:6443/prefix/api/v1/namespaces/shop/pods/cart/exec", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, err := url.Parse("https://h:6443/prefix/")
			if err != nil {
				t.Fatal(err)
			}
			a := &act{method: "PATCH", path: "/apis/apps/v1/namespaces/shop/deployments/cart", contentType: patch, body: []byte(body), base: base}
			r, err := http.NewRequestWithContext(a.during(t.Context()), tt.method, tt.url, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", tt.contentType)
			if err := guarded(r); (err == nil) != tt.ok {
				t.Errorf("guarded = %v, want allowed: %v", err, tt.ok)
			}
			if tt.ok && tt.method == "PATCH" {
				if err := guarded(r); err == nil || !strings.Contains(err.Error(), "sent already") {
					t.Errorf("the second time: %v, want a refusal", err)
				}
			}
			if err := guarded(r.Clone(context.Background())); tt.method != "GET" && err == nil {
				t.Error("it leaves outside of its act")
			}
		})
	}
}

func TestWhatHoldsDataIsKnown(t *testing.T) {
	tests := []struct {
		name, image string
		labels      map[string]string
		want        bool
	}{
		{"cart", "registry.example.com/shop/cart:1.2", nil, false},
		{"orders", "docker.io/library/postgres:17@sha256:abc", nil, true},
		{"orders", "ghcr.io/cloudnative-pg/cloudnative-pg:1.24", map[string]string{"app.kubernetes.io/name": "cnpg"}, true},
		{"orders", "bitnami/mongodb-exporter:1", nil, false},
		{"mongodb", "registry.example.com/x:1", nil, true},
		{"user-db", "registry.example.com/x:1", nil, true},
		{"minio", "quay.io/minio/minio:RELEASE", nil, true},
		{"feedback", "registry.example.com:5000/shop/feedback", nil, false},
		{"cart", "registry.example.com/redis7", nil, true},
		{"api", "registry.example.com/api", map[string]string{"app.kubernetes.io/component": "database"}, true},
	}
	for _, tt := range tests {
		m := &metav1.ObjectMeta{Name: tt.name, Labels: tt.labels}
		spec := corev1.PodSpec{Containers: []corev1.Container{{Image: tt.image}}}
		if got := holdsData(m, spec); (got != "") != tt.want {
			t.Errorf("holdsData(%s, %s, %v) = %q, want some: %v", tt.name, tt.image, tt.labels, got, tt.want)
		}
	}
}
