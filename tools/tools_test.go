package tools_test

import (
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/mcptest"

	"watchkeeper/demo/cluster"
	"watchkeeper/runbook"
	"watchkeeper/tools"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares got with the file testdata/name.
func golden(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test -update to create it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); run go test -update if that is meant:\n%s", path, diff)
	}
}

// sample starts the sample clusters and returns them configured.
func sample(t testing.TB) *tools.Clusters {
	t.Helper()
	srv := httptest.NewServer(cluster.New(time.Now().Truncate(time.Second)))
	t.Cleanup(srv.Close)
	return tools.NewClusters(
		tools.ClusterConfig{Name: "platform-prod", Env: runbook.Prod, Aliases: []string{"platform", "prod-par1"}, Config: cluster.RESTConfig(srv.URL, "platform-prod")},
		tools.ClusterConfig{Name: "platform-dev", Env: runbook.Dev, Config: cluster.RESTConfig(srv.URL, "platform-dev")},
	)
}

// session is an MCP client of the tools.
type session struct {
	t   testing.TB
	srv *mcptest.Server
}

func start(t *testing.T, clusters *tools.Clusters) session {
	t.Helper()
	srv, err := mcptest.NewServer(t, tools.Kube(clusters)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return session{t, srv}
}

// call returns the text of a result and whether it is an error.
func (s session) call(name string, args map[string]any) (string, bool) {
	s.t.Helper()
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = name, args
	res, err := s.srv.Client().CallTool(s.t.Context(), req)
	if err != nil {
		s.t.Fatalf("%s%v: %v", name, args, err)
	}
	text, ok := res.Content[0].(mcp.TextContent)
	if !ok {
		s.t.Fatalf("%s%v gave %T, want text", name, args, res.Content[0])
	}
	return text.Text, res.IsError
}

var clock = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b\d\d:\d\d:\d\d\b|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// stable replaces times of day, which differ from run to run.
func stable(s string) []byte { return clock.ReplaceAll([]byte(s), []byte("TIME")) }

// tokens is the estimate that the bounds are made of.
func tokens(s string) int { return len(s) / 4 }

func contains(t testing.TB, got string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(got, w) {
			t.Errorf("output lacks %q:\n%s", w, got)
		}
	}
}
