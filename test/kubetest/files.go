package kubetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed" // for the stages
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

//go:embed stages.yaml
var ownStages []byte

// writeFiles writes what the programs are started with.
func (s *stack) writeFiles() error {
	stages, err := os.ReadFile(s.assets + "/stages.yaml")
	if err != nil {
		return err
	}
	cert, key, err := selfSigned()
	if err != nil {
		return err
	}
	account, err := newKey()
	if err != nil {
		return err
	}
	s.ca = cert
	files := map[string][]byte{
		"server.crt": cert, "ca.crt": cert, "server.key": key, "accounts.key": account,
		"tokens.csv": []byte(tokens), "audit.yaml": []byte(auditPolicy), "kwok.yaml": fmt.Appendf(append(stages, ownStages...), logs, s.path("log"), s.path("previous")),
		"log":      logOf(time.Now(), "INFO listening on :8080"),
		"previous": logOf(time.Now(), LastWords...),
	}
	for _, token := range []string{adminToken, managerToken, schedulerToken} {
		files[token] = fmt.Appendf(nil, kubeconfig, s.url, s.path("ca.crt"), token)
	}
	var errs []error
	for name, data := range files {
		errs = append(errs, os.WriteFile(s.path(name), data, 0o600))
	}
	return errors.Join(errs...)
}

// LastWords end the log that every previous container left, after 98 lines
// that say nothing.
var LastWords = []string{"ERROR dial tcp 10.0.0.7:5432: connect: connection refused", "FATAL no database after 5 attempts"}

// logs tells kwok which files are the log and the previous log of every pod.
const logs = `
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {name: every-pod}
spec: {logs: [{logsFile: %q, previousLogsFile: %q}]}
`

// logOf is a log in the form that kubelets keep, with last at its end.
func logOf(now time.Time, last ...string) []byte {
	lines := make([]string, 98)
	for i := range lines {
		lines[i] = fmt.Sprintf("INFO request %d served in 3 ms", i)
	}
	lines = append(lines, last...)
	var b bytes.Buffer
	for i, line := range lines {
		at := now.Add(time.Duration(i-len(lines)) * time.Second).UTC()
		fmt.Fprintf(&b, "%s stdout F %s\n", at.Format("2006-01-02T15:04:05.000000000Z"), line)
	}
	return b.Bytes()
}

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
users: [{name: test, user: {token: %q}}]
`

// newKey returns a private key as PEM.
func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return keyPEM(key)
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// selfSigned returns a certificate for loopback that is its own authority.
func selfSigned() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "kubetest"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, err
}
