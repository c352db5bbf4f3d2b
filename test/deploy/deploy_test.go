// Package deploy_test holds what operators copy from deploy/ against the tools
// that will read it: systemd, Alertmanager and Prometheus.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool returns the path of a program, or skips the test.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, pkg)
	}
	return path
}

// missing skips the test, or fails it where everything must be there.
func missing(t *testing.T, what, pkg string) {
	t.Helper()
	if os.Getenv("WATCHKEEPER_REQUIRE_ALERTMANAGER") != "" {
		t.Fatalf("%s: not there; Debian's package %s has it", what, pkg)
	}
	t.Skipf("SKIPPED: %s is not there (Debian's package %s has it)", what, pkg)
}

func from(t *testing.T, name ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", "..", "deploy"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, out)
	}
	return string(out)
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// systemRoot is a file system with the programs, the units, and the targets that
// they refer to.
func systemRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, program := range []string{"usr/local/lib/watchkeeper/watchkeeper", "bin/kill"} {
		write(t, filepath.Join(root, program), "#!/bin/sh\n", 0o755)
	}
	units := filepath.Join(root, "etc/systemd/system")
	ours, err := filepath.Glob(from(t, "systemd", "*"))
	if err != nil || len(ours) < 3 {
		t.Fatalf("units in deploy/systemd = %q, %v", ours, err)
	}
	theirs, _ := filepath.Glob("/lib/systemd/system/*.target")
	if len(theirs) == 0 {
		missing(t, "a target of systemd", "systemd")
	}
	for _, path := range append(ours, theirs...) {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a link to a unit that is not installed
		}
		write(t, filepath.Join(units, filepath.Base(path)), string(text), 0o644)
	}
	return root
}

func TestUnitsAreWhatSystemdWants(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "systemd")
	root := systemRoot(t)
	for _, unit := range []string{"watchkeeper.service", "watchkeeper-backup.service", "watchkeeper-backup.timer"} {
		if out := run(t, analyze, "verify", "--root="+root, filepath.Join(root, "etc/systemd/system", unit)); strings.Contains(out, "watchkeeper") {
			t.Errorf("systemd-analyze verify %s says:\n%s", unit, out)
		}
	}
}

func TestUnitsStayLockedDown(t *testing.T) {
	analyze := tool(t, "systemd-analyze", "systemd")
	for unit, most := range map[string]string{"watchkeeper.service": "15", "watchkeeper-backup.service": "8"} { // tenths of systemd's scale to 10
		run(t, analyze, "security", "--no-pager", "--offline=yes", "--threshold="+most, from(t, "systemd", unit))
	}
}

func TestAlertmanagerRoutes(t *testing.T) {
	amtool := tool(t, "amtool", "prometheus-alertmanager")
	config := from(t, "alertmanager", "alertmanager.yml")
	run(t, amtool, "check-config", config)
	for alert, want := range map[string]string{"Watchdog": "watchkeeper", "KubePodCrashLooping": "watchkeeper"} {
		if got := run(t, amtool, "config", "routes", "test", "--config.file="+config, "alertname="+alert, "cluster=prod"); !strings.HasSuffix(got, "\n"+want+"\n") {
			t.Errorf("%s goes to %q, want %q", alert, got, want)
		}
	}
}

// SigNoz takes a receiver of Alertmanager, in JSON.
func TestSigNozChannelIsAReceiver(t *testing.T) {
	amtool := tool(t, "amtool", "prometheus-alertmanager")
	channel, err := os.ReadFile(from(t, "signoz", "channel.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "alertmanager.yml")
	write(t, config, "route: {receiver: watchkeeper}\nreceivers: [ "+string(channel)+" ]\n", 0o644)
	run(t, amtool, "check-config", config)
}

func TestPrometheusRules(t *testing.T) {
	run(t, tool(t, "promtool", "prometheus"), "check", "rules", from(t, "alertmanager", "rules.yml"))
}

func TestCronLines(t *testing.T) {
	text, err := os.ReadFile(from(t, "cron", "watchkeeper"))
	if err != nil {
		t.Fatal(err)
	}
	jobs := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' || strings.Contains(fields[0], "=") {
			continue
		}
		jobs++
		if len(fields) < 7 || fields[5] != "watchkeeper" || !strings.HasSuffix(line, "\n") || strings.Contains(line, "%") {
			t.Errorf("%q is no line for /etc/cron.d: want five times, the user, a command without %%, an end", line)
		}
	}
	if jobs != 2 {
		t.Errorf("%d jobs, want the backup and the restart", jobs)
	}
}

func TestWrapperIsAScript(t *testing.T) {
	run(t, "sh", "-n", from(t, "systemd", "watchkeeper.sh"))
}
