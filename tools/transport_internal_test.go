package tools

import (
	"net/http"
	"testing"
)

// The gate is tested from inside: no tool of this package sends what it
// refuses.
func TestReadingGate(t *testing.T) {
	const pod = "https://h/api/v1/namespaces/shop/pods/cart"
	tests := []struct {
		method, url string
		ok          bool
	}{
		{"GET", pod, true},
		{"HEAD", pod, true},
		{"GET", pod + "/log", true},
		{"GET", "https://h/prefix/clusters/x/api/v1/namespaces/proxy/pods", true},
		{"POST", "https://h/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", true},
		{"POST", "https://h/api/v1/namespaces/shop/pods", false},
		{"PUT", pod, false},
		{"PATCH", pod, false},
		{"DELETE", pod, false},
		{"OPTIONS", pod, false},
		{"POST", pod + "/eviction", false},
		{"GET", pod + "/exec", false},
		{"GET", pod + "/attach", false},
		{"GET", pod + "/portforward", false},
		{"GET", "https://h/api/v1/namespaces/shop/services/cart:80/proxy/admin", false},
		{"GET", "https://h/api/v1/nodes/n1/proxy/run", false},
		{"POST", "https://h/api/v1/namespaces/shop/serviceaccounts/x/token", false},
		{"GET", "https://h/api/v1/namespaces/../secrets", false},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.url, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := reads(r); (err == nil) != tt.ok {
				t.Errorf("reads(%s %s) = %v, want allowed: %v", tt.method, tt.url, err, tt.ok)
			}
		})
	}
}
