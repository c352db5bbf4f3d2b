// Package kubetest runs a real Kubernetes for the tests of this repository:
// etcd, kube-apiserver, controller manager, scheduler and kwok, which plays the
// nodes. It applies deploy/kubernetes as an operator would, so that a test can
// act with the agent's own token, and keeps the audit log, which says what was
// really sent.
//
// The programs are built by test/kube/run, which passes on where they are. A
// test that needs them is skipped when they are absent, and fails where
// WATCHKEEPER_REQUIRE_CLUSTER is set. All tests of a package share one cluster;
// each takes a namespace of its own.
//
//	func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }
//
//	func TestRestart(t *testing.T) {
//		c := kubetest.Start(t)
//		ns := c.Namespace(t)
//		…
//	}
package kubetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	corev1 "k8s.io/api/core/v1"
)

// AgentUser is what the API server calls the agent.
const AgentUser = "system:serviceaccount:watchkeeper:agent"

// A Cluster is a running Kubernetes. It is safe for concurrent use.
type Cluster struct {
	Admin    *rest.Config // may do everything
	Agent    *rest.Config // the agent's ServiceAccount, with a token that the API server issued
	AuditLog string       // path; one JSON object a line, of the agent's requests only

	Kube    kubernetes.Interface // as Admin
	Dynamic dynamic.Interface    // as Admin

	stack *stack
}

// shared is the one cluster of a test binary. It is a package variable because
// tests have no other place that outlives them.
var shared struct {
	mu      sync.Mutex
	in      bool // inside Main
	cluster *Cluster
	err     error
}

// Main runs the tests of a package and then stops the cluster, if any of them
// started it. It returns the exit code.
func Main(m *testing.M) int {
	shared.mu.Lock()
	shared.in = true
	shared.mu.Unlock()
	defer func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.cluster != nil {
			shared.cluster.stack.stop()
		}
	}()
	return m.Run()
}

// Start returns the cluster of this test binary, started at the first call,
// which takes about ten seconds. It skips the test if the programs are absent.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	assets := os.Getenv("WATCHKEEPER_KUBE_ASSETS")
	switch {
	case assets != "":
	case os.Getenv("WATCHKEEPER_REQUIRE_CLUSTER") != "":
		tb.Fatal("WATCHKEEPER_REQUIRE_CLUSTER is set and WATCHKEEPER_KUBE_ASSETS is not; run make test-cluster")
	default:
		tb.Skip("NOT TESTED on a real kube-apiserver: make test-cluster builds one and runs this test")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.in {
		tb.Fatal("TestMain of this package must call kubetest.Main, which stops the cluster")
	}
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = launch(assets)
	}
	if shared.err != nil {
		tb.Fatalf("start a cluster: %v", shared.err)
	}
	return shared.cluster
}

// launch starts everything and sets it up. The stack is stopped on an error.
func launch(assets string) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s, err := startStack(ctx, assets)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Admin: s.config(adminToken), AuditLog: s.path("audit.log"), stack: s}
	if err := c.setUp(ctx, assets); err != nil {
		s.stop()
		return nil, err
	}
	return c, nil
}

// Namespace makes a namespace for one test, with the given labels (key, value,
// key, value …). It goes with the cluster.
func (c *Cluster) Namespace(tb testing.TB, labels ...string) string {
	tb.Helper()
	ns := &corev1.Namespace{}
	ns.GenerateName = "t-"
	ns.Labels = map[string]string{}
	for i := 0; i+1 < len(labels); i += 2 {
		ns.Labels[labels[i]] = labels[i+1]
	}
	ns.Annotations = map[string]string{"kubetest.watchkeeper.io/test": tb.Name()}
	made, err := c.Kube.CoreV1().Namespaces().Create(tb.Context(), ns, metav1.CreateOptions{})
	if err != nil {
		tb.Fatalf("create namespace: %v", err)
	}
	// Pods are refused until the namespace has its account.
	Eventually(tb, "the default account of "+made.Name, func() bool {
		_, err := c.Kube.CoreV1().ServiceAccounts(made.Name).Get(tb.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	return made.Name
}

// AgentFor returns the agent with a token of its own that is valid for so long,
// ten minutes at least.
func (c *Cluster) AgentFor(tb testing.TB, valid time.Duration) *rest.Config {
	tb.Helper()
	cfg, err := c.agentFor(tb.Context(), valid)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// AgentKubeconfig writes a kubeconfig with the agent's token and returns its
// path. The contexts have the given names, and all lead to this cluster.
func (c *Cluster) AgentKubeconfig(tb testing.TB, contexts ...string) string {
	tb.Helper()
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["test"] = &clientcmdapi.Cluster{Server: c.Agent.Host, CertificateAuthorityData: c.Agent.CAData}
	cfg.AuthInfos["agent"] = &clientcmdapi.AuthInfo{Token: c.Agent.BearerToken}
	for _, name := range contexts {
		cfg.Contexts[name] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "agent"}
	}
	path := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Eventually calls ok until it is true, and fails the test after 30 seconds:
// a real cluster gets there in its own time.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	Within(tb, 30*time.Second, what, ok)
}

// Within is Eventually with a limit of its own.
func Within(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	if err := poll(tb.Context(), limit, ok); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// poll calls ok twenty times a second until it is true.
func poll(ctx context.Context, limit time.Duration, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// root returns the folder of the main module, above the test that runs.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module watchkeeper\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errNoModule
		}
		dir = up
	}
}
