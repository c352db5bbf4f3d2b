package tools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"watchkeeper/runbook"
)

// Per-cluster limits of the client. client-go's own are 5 and 10 requests a
// second, which makes every tenth call wait.
const (
	clientQPS      = 100
	clientBurst    = 200
	requestTimeout = 15 * time.Second
)

// A ClusterConfig says how one cluster is reached. Nothing is read or
// connected before a tool needs it.
type ClusterConfig struct {
	Name    string
	Aliases []string     // other names that alerts use
	Env     runbook.Env  // "" is treated as production
	Config  *rest.Config // used as it is if not nil; the rest is for reading a kubeconfig

	Kubeconfig string // path; "" means KUBECONFIG or ~/.kube/config, as kubectl has it
	Context    string // "" means Name
}

// Clusters are the configured clusters, and the only ones that a tool can
// reach. The zero Clusters has none. It is safe for concurrent use.
type Clusters struct{ all []*Cluster }

// NewClusters returns the clusters of configs, sorted by name.
func NewClusters(configs ...ClusterConfig) *Clusters {
	c := new(Clusters)
	for _, cfg := range configs {
		c.all = append(c.all, &Cluster{Name: cfg.Name, Env: cfg.Env, config: cfg, permit: guarded})
	}
	slices.SortFunc(c.all, func(a, b *Cluster) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// All returns the clusters, sorted by name.
func (c *Clusters) All() []*Cluster { return c.all }

// Get returns the cluster with that name or alias, ignoring case. The error
// lists the configured ones.
func (c *Clusters) Get(name string) (*Cluster, error) {
	if len(c.all) == 0 {
		return nil, errors.New("no cluster is configured; the operator adds one under clusters: in watchkeeper.yaml")
	}
	for _, cl := range c.all {
		if strings.EqualFold(cl.Name, name) || slices.ContainsFunc(cl.config.Aliases, func(a string) bool { return strings.EqualFold(a, name) }) {
			return cl, nil
		}
	}
	return nil, fmt.Errorf("unknown cluster %q; configured are %s", oneLine(name, 80), strings.Join(c.names(), ", "))
}

func (c *Clusters) names() []string {
	var names []string
	for _, cl := range c.all {
		name := fmt.Sprintf("%s (%s)", cl.Name, orUnknown(cl.Env))
		if len(cl.config.Aliases) > 0 {
			name += " also called " + strings.Join(cl.config.Aliases, ", ")
		}
		names = append(names, name)
	}
	return names
}

func orUnknown(e runbook.Env) runbook.Env {
	if e == "" {
		return runbook.EnvUnknown
	}
	return e
}

// A Cluster is one configured cluster. Its clients are made at the first use
// and kept. It is safe for concurrent use.
type Cluster struct {
	Name string
	Env  runbook.Env

	config ClusterConfig
	permit permit

	mu   sync.Mutex
	made *clients // nil until the first use that succeeded
}

// clients are the ways to talk to one cluster.
type clients struct {
	kube    kube
	dynamic dynamic.Interface
	kinds   *catalogue
}

// clients returns the clients, made anew after an error, since a missing
// kubeconfig may appear.
func (c *Cluster) clients() (*clients, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made != nil {
		return c.made, nil
	}
	cfg, err := c.config.rest()
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	if c.made, err = connect(cfg, c.permit); err != nil {
		return nil, fmt.Errorf("cluster %s: make client: %w", c.Name, err)
	}
	return c.made, nil
}

// rest returns the client configuration, from the kubeconfig if need be.
func (c ClusterConfig) rest() (*rest.Config, error) {
	if c.Config != nil {
		return c.Config, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	over := &clientcmd.ConfigOverrides{CurrentContext: c.Context}
	if over.CurrentContext == "" {
		over.CurrentContext = c.Name
	}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, over).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read context %q of the kubeconfig: %w", over.CurrentContext, err)
	}
	return cfg, nil
}

// connect makes the clients behind a gate. Typed lists come as protobuf, which
// takes a third of the memory of JSON; the server may answer in JSON.
func connect(cfg *rest.Config, p permit) (*clients, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst, cfg.Timeout = clientQPS, clientBurst, requestTimeout
	cfg.UserAgent = "watchkeeper"
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return gate{next, p} })
	typed := rest.CopyConfig(cfg)
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	kube, err := newKube(typed)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &clients{kube, dyn, &catalogue{api: kube.core}}, nil
}

// explain turns an error of a request to c into what the session can act on.
func (c *Cluster) explain(doing string, err error) error {
	var network *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &network) && !network.Timeout():
		return fmt.Errorf("%s in %s: cannot be reached (%w); the API server or the way to it is down, which is a finding", doing, c.Name, network)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s in %s: the agent may not (%w); its permissions are in deploy/kubernetes", doing, c.Name, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s in %s: the cluster does not accept the agent's token; a human must renew it", doing, c.Name)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s in %s: %w", doing, c.Name, err)
	case errors.Is(err, context.DeadlineExceeded) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err):
		return fmt.Errorf("%s in %s: no answer in time; the API server may be overloaded or unreachable, which is a finding", doing, c.Name)
	case apierrors.IsTooManyRequests(err):
		return fmt.Errorf("%s in %s: the API server is throttling; wait a little and ask for less", doing, c.Name)
	}
	return fmt.Errorf("%s in %s: %w", doing, c.Name, err)
}
