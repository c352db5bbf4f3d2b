// Package cluster is a sample of Kubernetes clusters: a small, read-only API
// server over a few embedded files, for the demo and for tests of what reads a
// cluster.
//
// It answers discovery, get, list (with label and field selectors and paging)
// and pod logs the way kube-apiserver does, in JSON, and refuses everything
// else. It keeps no state, runs nothing and needs no credentials, so it belongs
// on loopback only. It proves nothing about permissions or writes; those are
// tested against a real API server.
package cluster

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// A kind is one resource that the server knows.
type kind struct {
	group, version string
	kind, plural   string
	short          string // "" if there is none
	cluster        bool   // not namespaced
}

// gv returns "v1" or "apps/v1".
func (k kind) gv() string { return path.Join(k.group, k.version) }

// An object is one JSON document with what selectors need at hand.
type object struct {
	namespace, name string
	labels          map[string]string
	json            map[string]any
}

// A store is one cluster: its objects by plural name, sorted as etcd does by
// namespace and name, and its logs.
type store struct {
	objects map[string][]object
	owners  map[string]string // "namespace/pod" to the name of its workload
	logs    fs.FS             // namespace_name_container[.previous].log
	now     time.Time
}

//go:embed data
var data embed.FS

// New returns the bundled clusters platform-prod and platform-dev, as they
// would look at now. Each answers below /clusters/NAME.
func New(now time.Time) http.Handler {
	sub, err := fs.Sub(data, "data")
	if err != nil {
		panic(err) // the embedded folder has that name
	}
	h, err := Load(now, sub)
	if err != nil {
		panic(err) // the embedded files are checked by the tests
	}
	return h
}

// Names lists the bundled clusters.
func Names() []string { return []string{"platform-dev", "platform-prod"} }

// Load reads clusters from files: each folder is one, with a cluster.yaml in
// the form of the bundled ones (data/) and an optional logs folder with files NAMESPACE_NAME_CONTAINER.log or .previous.log, where NAME
// is a pod or its workload and a line begins with its age ("12m3s text").
func Load(now time.Time, files fs.FS) (http.Handler, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("read clusters: %w", err)
	}
	stores := map[string]*store{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if stores[e.Name()], err = loadStore(now, files, e.Name()); err != nil {
			return nil, fmt.Errorf("cluster %s: %w", e.Name(), err)
		}
	}
	if len(stores) == 0 {
		return nil, errors.New("no cluster folder")
	}
	return &server{stores: stores}, nil
}

func loadStore(now time.Time, files fs.FS, name string) (*store, error) {
	text, err := fs.ReadFile(files, path.Join(name, "cluster.yaml"))
	if err != nil {
		return nil, err
	}
	logs, err := fs.Sub(files, path.Join(name, "logs"))
	if err != nil {
		return nil, err
	}
	s := &store{objects: map[string][]object{}, owners: map[string]string{}, logs: logs, now: now}
	if err := s.fill(text); err != nil {
		return nil, err
	}
	for _, list := range s.objects {
		slices.SortFunc(list, func(a, b object) int {
			return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name)
		})
	}
	return s, nil
}

// RESTConfig returns the client configuration of one cluster of a server that
// runs at url ("http://127.0.0.1:1234").
func RESTConfig(url, name string) *rest.Config {
	return &rest.Config{Host: strings.TrimSuffix(url, "/") + "/clusters/" + name}
}

// Kubeconfig returns a kubeconfig file for the given clusters of a server that
// runs at url; each context has the name of its cluster.
func Kubeconfig(url string, names ...string) []byte {
	var clusters, contexts strings.Builder
	for _, n := range names {
		fmt.Fprintf(&clusters, "- name: %s\n  cluster: {server: %q}\n", n, RESTConfig(url, n).Host)
		fmt.Fprintf(&contexts, "- name: %s\n  context: {cluster: %s, user: demo}\n", n, n)
	}
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: %s\nclusters:\n%scontexts:\n%susers:\n- name: demo\n  user: {}\n",
		strings.Join(names[:min(len(names), 1)], ""), &clusters, &contexts)
}

// names returns the clusters of a server, sorted.
func (s *server) names() []string { return slices.Sorted(maps.Keys(s.stores)) }
