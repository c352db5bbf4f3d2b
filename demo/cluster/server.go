package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lower is the singular name of a kind.
func lower(kind string) string { return strings.ToLower(kind) }

// A server answers for all clusters; each lives below /clusters/NAME.
type server struct{ stores map[string]*store }

// ServeHTTP implements [http.Handler].
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/clusters/"), "/")
	st, ok := s.stores[name]
	if !ok || !strings.HasPrefix(r.URL.Path, "/clusters/") {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound,
			"no such cluster; there are "+strings.Join(s.names(), ", ")+", each below /clusters/NAME")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the sample cluster is read-only")
		return
	}
	st.serve(w, r, strings.Split(strings.Trim(rest, "/"), "/"))
}

// serve answers one request for the path segments seg.
func (st *store) serve(w http.ResponseWriter, r *http.Request, seg []string) {
	switch {
	case len(seg) == 1 && seg[0] == "version":
		reply(w, map[string]string{"major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64"})
	case len(seg) == 1 && (seg[0] == "healthz" || seg[0] == "readyz" || seg[0] == "livez"):
		fmt.Fprint(w, "ok")
	case len(seg) == 1 && seg[0] == "api":
		reply(w, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case len(seg) == 1 && seg[0] == "apis":
		reply(w, apiGroups())
	case len(seg) >= 2 && seg[0] == "api":
		st.group(w, r, seg[1], seg[2:])
	case len(seg) == 2 && seg[0] == "apis":
		group(w, seg[1])
	case len(seg) >= 3 && seg[0] == "apis":
		st.group(w, r, seg[1]+"/"+seg[2], seg[3:])
	default:
		unknown(w)
	}
}

// group answers /apis/NAME.
func group(w http.ResponseWriter, name string) {
	for _, g := range apiGroups().Groups {
		if g.Name == name {
			g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
			reply(w, g)
			return
		}
	}
	unknown(w)
}

// group answers what is below one group and version.
func (st *store) group(w http.ResponseWriter, r *http.Request, gv string, seg []string) {
	if len(seg) == 0 {
		if list := apiResources(gv); list != nil {
			reply(w, list)
			return
		}
		unknown(w)
		return
	}
	namespace := ""
	if seg[0] == "namespaces" && len(seg) > 2 {
		namespace, seg = seg[1], seg[2:]
	}
	k, ok := kindOf(gv, seg[0])
	switch {
	case !ok || (k.cluster && namespace != ""):
		unknown(w)
	case len(seg) == 1:
		st.list(w, r, k, namespace)
	case len(seg) == 2 && (namespace != "" || k.cluster):
		st.get(w, k, namespace, seg[1])
	case len(seg) == 3 && k.plural == "pods" && seg[2] == "log":
		st.log(w, r, namespace, seg[1])
	default:
		unknown(w)
	}
}

// get answers with one object, or 404 as the real server words it.
func (st *store) get(w http.ResponseWriter, k kind, namespace, name string) {
	if o, ok := st.find(k.plural, namespace, name); ok {
		reply(w, o.json)
		return
	}
	notFound(w, k, name)
}

func (st *store) find(plural, namespace, name string) (object, bool) {
	for _, o := range st.objects[plural] {
		if o.namespace == namespace && o.name == name {
			return o, true
		}
	}
	return object{}, false
}

func notFound(w http.ResponseWriter, k kind, name string) {
	resource := k.plural
	if k.group != "" {
		resource += "." + k.group
	}
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", resource, name))
}

func unknown(w http.ResponseWriter) {
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
}

func fail(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(code))
	encode(w, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Message: message, Reason: reason, Code: code,
	})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encode(w, v)
}

// encode ignores the error: the only one is that the client has gone.
func encode(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
