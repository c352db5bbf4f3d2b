package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

var (
	errTooLong  = errors.New("took too long")
	errNoModule = errors.New("no go.mod of module watchkeeper above the working directory")
)

// Tokens of the users that are not service accounts. The cluster listens on
// loopback, lives for minutes and holds nothing.
const (
	adminToken     = "kubetest-admin"
	managerToken   = "kubetest-controller-manager"
	schedulerToken = "kubetest-scheduler"
)

const tokens = adminToken + `,admin,1,"system:masters"
` + managerToken + `,system:kube-controller-manager,2
` + schedulerToken + `,system:kube-scheduler,3
`

// auditPolicy keeps the agent's requests, with the bodies of what it would
// change.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: ["` + AgentUser + `"], verbs: [get, list, watch]}
- {level: Request, users: ["` + AgentUser + `"]}
- {level: None}
`

// A stack is the running programs and the folder that they work in.
type stack struct {
	dir    string
	assets string
	url    string
	ca     []byte // PEM
	start  chan *exec.Cmd
	began  chan error
	cmds   []*exec.Cmd
}

// startStack starts all programs. It returns when the API server is ready.
func startStack(ctx context.Context, assets string) (*stack, error) {
	dir, err := os.MkdirTemp("", "kubetest-")
	if err != nil {
		return nil, err
	}
	s := &stack{dir: dir, assets: assets, start: make(chan *exec.Cmd), began: make(chan error)}
	go s.launcher()
	if err := s.run(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, s.lastWords())
		s.stop()
		return nil, err
	}
	return s, nil
}

// launcher starts the programs from one thread that lives as long as the tests:
// the kernel kills them when this thread ends, however it ends.
func (s *stack) launcher() {
	runtime.LockOSThread()
	for cmd := range s.start {
		s.began <- cmd.Start()
	}
}

func (s *stack) run(ctx context.Context) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	etcd, peer := "http://"+ports[0], "http://"+ports[1]
	s.url = "https://" + ports[2]
	if err := s.writeFiles(); err != nil {
		return err
	}
	if err := s.launch("etcd", "--data-dir", s.path("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return err
	}
	if err := s.launchServer(etcd, ports[2]); err != nil {
		return err
	}
	if err := s.waitReady(ctx); err != nil {
		return err
	}
	return s.launchControllers(ports[3])
}

func (s *stack) launchServer(etcd, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	return s.launch("kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port,
		"--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.0.0.0/16",
		"--tls-cert-file", s.path("server.crt"), "--tls-private-key-file", s.path("server.key"),
		"--token-auth-file", s.path("tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", s.path("accounts.key"),
		"--service-account-signing-key-file", s.path("accounts.key"), "--cert-dir", s.path("certs"),
		"--audit-policy-file", s.path("audit.yaml"), "--audit-log-path", s.path("audit.log"), "--audit-log-mode", "blocking")
}

// launchControllers starts what makes a cluster of an API server. The kubelet of
// all nodes, which has the logs, is kwok at the address.
func (s *stack) launchControllers(kubelet string) error {
	_, port, err := net.SplitHostPort(kubelet)
	if err != nil {
		return err
	}
	return errors.Join(
		s.launch("kube-controller-manager", "--kubeconfig", s.path(managerToken), "--use-service-account-credentials", "--leader-elect=false", "--secure-port", "0",
			"--service-account-private-key-file", s.path("accounts.key"), "--root-ca-file", s.path("ca.crt"),
			"--kube-api-qps", "1000", "--kube-api-burst", "2000", "--cert-dir", s.path("certs"),
			// kwok sends no heartbeats, and a busy machine is late with everything.
			"--node-monitor-grace-period", "1h"),
		s.launch("kube-scheduler", "--kubeconfig", s.path(schedulerToken), "--leader-elect=false", "--secure-port", "0"),
		s.launch("kwok", "--kubeconfig", s.path(adminToken), "--manage-all-nodes", "--config", s.path("kwok.yaml"),
			"--node-ip", "127.0.0.1", "--node-port", port, "--server-address", kubelet, "--tls-cert-file", s.path("server.crt"), "--tls-private-key-file", s.path("server.key")),
	)
}

// launch starts one program, with its output in a file.
func (s *stack) launch(program string, args ...string) error {
	out, err := os.Create(s.path(program + ".log"))
	if err != nil {
		return err
	}
	defer out.Close()                                              // the program has its own copy
	cmd := exec.Command(filepath.Join(s.assets, program), args...) //nolint:noctx // stop ends it; a context of one test would end it for all
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	cmd.Env = []string{"HOME=" + s.dir, "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = dieWithUs()
	s.start <- cmd
	if err := <-s.began; err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	s.cmds = append(s.cmds, cmd)
	return nil
}

// waitReady waits until the API server says that it is.
func (s *stack) waitReady(ctx context.Context) error {
	kube, err := kubernetes.NewForConfig(s.config(adminToken))
	if err != nil {
		return err
	}
	err = poll(ctx, 2*time.Minute, func() bool {
		_, err := kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("wait for kube-apiserver: %w", err)
	}
	return nil
}

// stop ends all programs and removes their folder.
func (s *stack) stop() {
	for _, cmd := range s.cmds {
		_ = cmd.Process.Kill() // it may have ended by itself
	}
	for _, cmd := range s.cmds {
		_ = cmd.Wait() // killed is what it says
	}
	close(s.start)
	_ = os.RemoveAll(s.dir)
}

// config returns the client configuration of a token.
func (s *stack) config(token string) *rest.Config {
	return &rest.Config{
		Host: s.url, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: s.ca},
		QPS: 500, Burst: 1000, WarningHandler: rest.NoWarnings{},
	}
}

func (s *stack) path(name string) string { return filepath.Join(s.dir, name) }

// lastWords returns the end of each program's output.
func (s *stack) lastWords() string {
	var b strings.Builder
	logs, _ := filepath.Glob(s.path("*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		if len(text) > 1500 {
			text = text[len(text)-1500:]
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", filepath.Base(path), text)
	}
	return b.String()
}

// freePorts returns n addresses on loopback that were free just now.
func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that they differ
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
