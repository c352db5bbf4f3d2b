// Package cluster_test shows on a real Kubernetes API server what the agent can
// do with its own token, and what it cannot whoever drives it.
package cluster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"watchkeeper/test/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }

// A shop is a namespace with one of everything that somebody may want to break.
type shop struct {
	*kubetest.Cluster
	namespace string
	pods      map[string]corev1.Pod // by the value of their app label; one of each
	versions  map[string]string     // of the custom resources, by name
	signing   string                // a request for a client certificate
}

// goods are the objects of a shop.
const goods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}, annotations: {team: shop}, finalizers: [example.com/keep]}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {team: shop}}
    spec: {containers: [{name: main, image: "registry.example.com/web:1", env: [{name: LEVEL, value: info}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  replicas: 2
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck, kubetest.watchkeeper.io/state: crashloop}}
    spec: {containers: [{name: main, image: "registry.example.com/stuck:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache}
spec:
  replicas: 1
  selector: {matchLabels: {app: cache}}
  template:
    metadata: {labels: {app: cache, kubetest.watchkeeper.io/state: crashloop}}
    spec:
      containers: [{name: main, image: "registry.example.com/cache:1"}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: database}
spec:
  replicas: 1
  serviceName: database
  selector: {matchLabels: {app: database}}
  template:
    metadata: {labels: {app: database, kubetest.watchkeeper.io/state: crashloop}}
    spec: {containers: [{name: main, image: "registry.example.com/postgres:18"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: collector}
spec:
  selector: {matchLabels: {app: collector}}
  template:
    metadata: {labels: {app: collector, kubetest.watchkeeper.io/state: crashloop}}
    spec: {containers: [{name: main, image: "registry.example.com/collector:1"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: import}
spec:
  backoffLimit: 100 # its pod restarted seven times
  template:
    metadata: {labels: {app: import, kubetest.watchkeeper.io/state: crashloop}}
    spec: {restartPolicy: OnFailure, containers: [{name: main, image: "registry.example.com/import:1"}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example.com/import:1"}]}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: loner, labels: {app: loner, kubetest.watchkeeper.io/state: crashloop}}
spec: {containers: [{name: main, image: "registry.example.com/loner:1"}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, volumeName: kubetest, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: credentials}
stringData: {password: not-a-real-one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {dsn: "postgres://db/shop"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 2}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, labels: {app: shop}, annotations: {team: shop}, finalizers: [resources-finalizer.argocd.argoproj.io]}
spec: {project: default, destination: {namespace: shop}, source: {repoURL: "https://git.example.com/shop", targetRevision: main}}
status: {sync: {status: OutOfSync}, health: {status: Degraded}}
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: import, labels: {app: import}}
spec: {entrypoint: main, templates: [{name: main, container: {image: "registry.example.com/import:1"}}]}
status: {phase: Running}
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: with-claims}
spec: {entrypoint: main, volumeClaimTemplates: [{metadata: {name: work}}]}
status: {phase: Running}
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: from-template}
spec: {workflowTemplateRef: {name: import}}
status: {phase: Running, storedWorkflowTemplateSpec: {volumeClaimTemplates: [{metadata: {name: work}}]}}
`

// open sets up a shop and waits until its pods are what they should be.
func open(t *testing.T, labels ...string) shop {
	t.Helper()
	c := kubetest.Start(t)
	s := shop{c, c.Namespace(t, labels...), map[string]corev1.Pod{}, map[string]string{}, signingRequest(t)}
	c.Apply(t, s.namespace, goods)
	for name, r := range map[string]schema.GroupVersionResource{"shop": kubetest.Applications, "import": kubetest.Workflows} {
		o, err := c.Dynamic.Resource(r).Namespace(s.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.versions[name] = o.GetResourceVersion()
	}
	kubetest.Eventually(t, "the pods of the shop", func() bool {
		list, err := c.Kube.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false
		}
		clear(s.pods)
		for _, p := range list.Items {
			if app := p.Labels["app"]; settled(&p) {
				s.pods[app] = p
			}
		}
		return len(s.pods) == 7
	})
	return s
}

// signingRequest makes a well-formed request for a certificate.
func signingRequest(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "evil"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// settled reports whether a pod has the state that its label asks for. That of
// the claim waits for a volume that does not exist, which is stuck as well.
func settled(p *corev1.Pod) bool {
	if p.Labels["app"] == "cache" {
		return true
	}
	for _, s := range p.Status.ContainerStatuses {
		return s.Ready == (p.Labels["kubetest.watchkeeper.io/state"] == "")
	}
	return false
}

// fill replaces NS, CSR, POD(app), UID(app) and VERSION(name) in a path or a body.
func (s shop) fill(text string) string {
	pairs := []string{"NS", s.namespace, "CSR", s.signing}
	for app, p := range s.pods {
		pairs = append(pairs, "POD("+app+")", p.Name, "UID("+app+")", string(p.UID))
	}
	for name, v := range s.versions {
		pairs = append(pairs, "VERSION("+name+")", v)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// do sends one request with the rights of cfg. It returns the error of the
// answer, and what was read.
func do(ctx context.Context, cfg *rest.Config, method, path, contentType, body string) ([]byte, error) {
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(path, "?")
	r := kube.CoreV1().RESTClient().Verb(method).AbsPath(path)
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			r = r.Param(key, value)
		}
	}
	if body != "" {
		r = r.SetHeader("Content-Type", contentType).Body([]byte(body))
	}
	res := r.Do(ctx)
	text, _ := res.Raw() // its error is the same one, without the server's words
	return text, res.Error()
}

// Content types of a patch.
const (
	asJSON      = "application/json"
	merge       = "application/merge-patch+json"
	strategic   = "application/strategic-merge-patch+json"
	jsonPatch   = "application/json-patch+json"
	serverApply = "application/apply-patch+yaml"
)

// evict is the body of an eviction.
func evict(app, options string) string {
	return fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"POD(%s)","namespace":"NS"},"deleteOptions":%s}`, app, options)
}

// evictUID is the body of an eviction as it should be.
func evictUID(app string) string {
	return evict(app, fmt.Sprintf(`{"preconditions":{"uid":"UID(%s)"}}`, app))
}
