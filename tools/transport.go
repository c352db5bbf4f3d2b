package tools

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// crooked matches a path that a server could take for another one.
var crooked = regexp.MustCompile(`\.\.|//|\\|%`)

// reads is the permit of the reading tools: GET and HEAD, and the question
// "may I?". Tunnels are refused whatever the method, and so is what asks for a
// connection of its own, as every tunnel does.
func reads(r *http.Request) error {
	switch {
	case tunnel.MatchString(r.URL.Path) || crooked.MatchString(r.URL.Path) || r.Header.Get("Upgrade") != "":
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return nil
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"):
		return nil
	}
	return fmt.Errorf("refused before it was sent: this tool only reads, and %s %s does more", r.Method, r.URL.Path)
}

// guarded is the permit of the clusters: whatever only reads, and of all else
// the one request of the act that the guard has put into the context.
func guarded(r *http.Request) error {
	a, ok := r.Context().Value(actKey{}).(*act)
	if !ok || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return reads(r)
	}
	return a.permit(r)
}

// An act is one request that changes something: all of it is known before it
// is sent, and it is sent once.
type act struct {
	method, path string // the path below the address of the API server
	contentType  string
	body         []byte
	dryRun       bool

	base *url.URL // of the API server; set when it is sent
	sent atomic.Bool
}

type actKey struct{}

// during returns a context in which a may be sent, and nothing else that
// changes anything.
func (a *act) during(ctx context.Context) context.Context {
	return context.WithValue(ctx, actKey{}, a)
}

// query is all that the address may ask beside its path.
func (a *act) query() url.Values {
	q := url.Values{"timeout": {requestTimeout.String()}}
	if a.method == http.MethodPatch {
		q.Set("fieldManager", fieldManager)
	}
	if a.dryRun {
		q.Set("dryRun", metav1.DryRunAll)
	}
	return q
}

// fieldManager is the name under which the API server keeps what we changed.
const fieldManager = "watchkeeper"

// permit lets r through if it is a to the letter, and the first such request.
func (a *act) permit(r *http.Request) error {
	body, err := bodyOf(r)
	switch {
	case err != nil:
		return fmt.Errorf("refused before it was sent: %w", err)
	case r.Method != a.method, r.URL.Scheme != a.base.Scheme, r.URL.Host != a.base.Host,
		r.URL.EscapedPath() != strings.TrimSuffix(a.base.EscapedPath(), "/")+a.path, !reflect.DeepEqual(r.URL.Query(), a.query()):
		return fmt.Errorf("refused before it was sent: %s %s is not the request of this act", r.Method, r.URL.Path)
	case r.Header.Get("Content-Type") != a.contentType || !bytes.Equal(body, a.body):
		return fmt.Errorf("refused before it was sent: what %s %s carries is not what this act is about", r.Method, r.URL.Path)
	case a.sent.Swap(true):
		return fmt.Errorf("refused before it was sent: %s %s was sent already, and an act is sent once", r.Method, r.URL.Path)
	}
	return nil
}

// bodyOf reads a copy of what r carries.
func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.GetBody == nil {
		return nil, fmt.Errorf("what %s %s carries cannot be looked at", r.Method, r.URL.Path)
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
