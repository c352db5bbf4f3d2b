package tools

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// A permit says whether a request may leave for a cluster; nil lets it. It is
// asked below the handlers and below client-go, so that a mistake up there
// cannot do what the tool is not for.
type permit func(*http.Request) error

// A gate is an HTTP transport that asks a permit first.
type gate struct {
	next   http.RoundTripper
	permit permit
}

// RoundTrip implements [http.RoundTripper].
func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.permit(r); err != nil {
		return nil, err
	}
	return g.next.RoundTrip(r)
}

// tunnel matches subresources that reach into a pod, a node or a service.
// Some of them answer to GET.
var tunnel = regexp.MustCompile(`/(pods|services|nodes)/[^/]+/(exec|attach|portforward|proxy)(/|$)`)

// reads is the permit of the reading tools: GET and HEAD, and the question
// "may I?". Tunnels are refused whatever the method.
func reads(r *http.Request) error {
	switch {
	case tunnel.MatchString(r.URL.Path) || strings.Contains(r.URL.Path, ".."):
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return nil
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"):
		return nil
	}
	return fmt.Errorf("refused before it was sent: this tool only reads, and %s %s does more", r.Method, r.URL.Path)
}
