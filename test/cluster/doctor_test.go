package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"watchkeeper/runbook"
	"watchkeeper/test/kubetest"
	"watchkeeper/tools"
)

// doctor examines a cluster with the given rights.
func doctor(t *testing.T, cfg *rest.Config) []tools.DoctorRow {
	t.Helper()
	rows := tools.Doctor(t.Context(), tools.NewClusters(tools.ClusterConfig{Name: "shop-prod", Env: runbook.Prod, Config: cfg}))
	for _, r := range rows {
		if r.OK != (r.Fix == "") {
			t.Errorf("%s: OK is %v and the fix is %q", r.What, r.OK, r.Fix)
		}
		if cfg.BearerToken != "" && strings.Contains(r.Detail+r.Got+r.Fix, cfg.BearerToken) {
			t.Errorf("%s: shows the token", r.What)
		}
	}
	return rows
}

// complaints are what is wrong, by what it is about.
func complaints(rows []tools.DoctorRow) map[string]tools.DoctorRow {
	wrong := map[string]tools.DoctorRow{}
	for _, r := range rows {
		if !r.OK {
			wrong[r.What] = r
		}
	}
	return wrong
}

// rehearsals are the dry runs that have an object in a shop.
var rehearsals = []string{
	"restart a deployment", "scale a deployment to zero", "change an image", "label a deployment", "evict a pod that is ready",
	"refresh an Argo CD application", "start a sync", "change the revision of an Argo CD application", "label an Argo CD application",
	"change an Argo workflow", "label an Argo workflow", "terminate an Argo workflow that was not told to stop",
}

func TestDoctorFindsNothingWrongWithTheAgent(t *testing.T) {
	s := open(t)
	before := s.inventory(t)
	rows := doctor(t, s.Agent)
	if diff := cmp.Diff(map[string]tools.DoctorRow{}, complaints(rows)); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for _, r := range rows {
		got[r.What] = r.Got
	}
	for _, what := range rehearsals {
		if g := got[what+" (dry run)"]; g != "allowed" && g != "denied" {
			t.Errorf("%q was not rehearsed: %q", what, g)
		}
	}
	if diff := cmp.Diff(before, s.inventory(t)); diff != "" {
		t.Errorf("the doctor changed something (-before +after):\n%s", diff)
	}
	for _, r := range s.AgentWrites(t, "") {
		if r.Namespace == s.namespace && !r.DryRun {
			t.Errorf("the doctor sent what is no dry run: %s", r)
		}
	}
}

func TestDoctorComplainsAboutAnAdministrator(t *testing.T) {
	s := open(t)
	before := s.inventory(t)
	wrong := complaints(doctor(t, s.Admin))
	for _, what := range []string{
		"be the agent", "get, list, watch, create, patch, delete, deletecollection secrets", "create, get pods/exec", "impersonate users",
		"create, update, delete, deletecollection applications.argoproj.io", "patch, delete validatingadmissionpolicies.admissionregistration.k8s.io",
		"scale a deployment to zero (dry run)", "change an image (dry run)", "start a sync (dry run)", "evict a pod that is ready (dry run)",
		"terminate an Argo workflow that was not told to stop (dry run)",
	} {
		if r, ok := wrong[what]; !ok || r.Got == "unknown" {
			t.Errorf("no complaint about %q; there are %d", what, len(wrong))
		}
	}
	if diff := cmp.Diff(before, s.inventory(t)); diff != "" {
		t.Errorf("the doctor changed something (-before +after):\n%s", diff)
	}
}

func TestDoctorComplainsAboutAWiderRole(t *testing.T) {
	s := open(t)
	defer s.promote(t)()
	wrong := complaints(doctor(t, s.Agent))
	if r := wrong["get, list, watch, create, patch, delete, deletecollection secrets"]; r.Want != "denied" || r.Got != "allowed" || !strings.Contains(r.Fix, "unbind") {
		t.Errorf("the complaint about secrets is %+v", r)
	}
	for _, what := range rehearsals {
		if r, ok := wrong[what+" (dry run)"]; ok {
			t.Errorf("the policies hold all the same, and the complaint is %+v", r)
		}
	}
}

func TestDoctorSaysWhenATokenEnds(t *testing.T) {
	c := kubetest.Start(t)
	r, ok := complaints(doctor(t, c.AgentFor(t, time.Hour)))["hold a token that lasts"]
	if !ok || r.Want != "at least 14 days" || !strings.Contains(r.Detail, "it ends at ") || !strings.Contains(r.Fix, "Rotation") {
		t.Errorf("the row about a token of an hour is %+v", r)
	}
}

func TestDoctorOfAClusterThatIsNotThere(t *testing.T) {
	tests := []struct {
		name string
		cfg  *rest.Config
		want string
	}{
		{"nobody listens", &rest.Config{Host: "https://127.0.0.1:1"}, "cannot be reached"},
		{"the token is not known", func() *rest.Config {
			cfg := rest.CopyConfig(kubetest.Start(t).Agent)
			cfg.BearerToken = "not-a-token"
			return cfg
		}(), "does not accept the agent's token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := doctor(t, tt.cfg)
			if len(rows) != 1 || rows[0].OK || rows[0].Got != "unknown" || !strings.Contains(rows[0].Detail, tt.want) {
				t.Errorf("rows = %+v, want one with %q", rows, tt.want)
			}
		})
	}
}
