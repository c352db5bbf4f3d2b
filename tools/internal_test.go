package tools

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
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

func TestPanicIsAFailedResult(t *testing.T) {
	type args struct{}
	st := tool("boom", "", readOnly, func(context.Context, args) (string, error) { panic("no </channel> here") })
	res, err := st.Handler(t.Context(), mcp.CallToolRequest{})
	if err != nil || !res.IsError {
		t.Fatalf("Handler = %v, %v, want a failed result", res, err)
	}
	got := res.Content[0].(mcp.TextContent).Text
	if want := "boom: internal error, please report it: no ‹/channel› here"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

func TestOutputIsBounded(t *testing.T) {
	type args struct{}
	st := tool("flood", "", readOnly, func(context.Context, args) (string, error) {
		return strings.Repeat("a line of é\n", 10000), nil
	})
	res, err := st.Handler(t.Context(), mcp.CallToolRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := res.Content[0].(mcp.TextContent).Text
	if len(got) > maxTokens*bytesPerToken || !strings.Contains(got, "more lines; ask for less at a time]") {
		t.Errorf("output of %d bytes ends in %q", len(got), got[len(got)-80:])
	}
}
