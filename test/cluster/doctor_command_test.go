package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// doctorKube runs the built program as an operator does, with a kubeconfig as
// deploy/kubernetes/README.md makes it, and returns what it prints and its exit
// code.
func (s shop) doctorKube(t *testing.T) (string, int) {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", "bin", "watchkeeper"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "watchkeeper.yaml")
	text := fmt.Sprintf("clusters: {shop-prod: {context: prod-par, env: prod, kubeconfig: %q}}\n", s.AgentKubeconfig(t, "prod-par"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "doctor", "kube", "--config", file, "--state", filepath.Join(dir, "state"))
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(string(out), s.Agent.BearerToken) {
		t.Error("the token is printed")
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// marked returns the lines about the cluster that must be mended.
func marked(out string) []string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "! shop-prod") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}

func TestTheDoctorCommandIsGreenAsDeployed(t *testing.T) {
	s := open(t)
	out, code := s.doctorKube(t)
	if lines := marked(out); code != 0 || len(lines) > 0 {
		t.Errorf("exit code %d, to be mended %q:\n%s", code, lines, out)
	}
	for _, what := range rehearsals {
		if !strings.Contains(out, what+" (dry run)") {
			t.Errorf("no line about %q:\n%s", what, out)
		}
	}
}

func TestTheDoctorCommandNamesEachExcess(t *testing.T) {
	s := open(t)
	defer s.promote(t)()
	out, code := s.doctorKube(t)
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	lines := strings.Join(marked(out), "\n")
	for _, what := range []string{
		"get, list, watch, create, patch, delete, deletecollection secrets want denied, got allowed", "create, get pods/exec", "create, patch, delete namespaces",
		"patch, update deployments.apps/scale", "patch, update, delete, deletecollection statefulsets.apps", "patch, delete, deletecollection persistentvolumeclaims",
		"create, update, delete, deletecollection applications.argoproj.io", "impersonate users", "create, patch clusterrolebindings", "patch, delete validatingadmissionpolicies",
	} {
		if !strings.Contains(lines, what) {
			t.Errorf("no line about %q in:\n%s", what, lines)
		}
	}
	if !strings.Contains(out, "-> find the role that grants it") {
		t.Errorf("no word on what to do:\n%s", out)
	}
}
