package tools_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/mcptest"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/demo/cluster"
	"watchkeeper/tools"
)

// all returns every set of tools of the package.
func all(t *testing.T) []server.ServerTool {
	t.Helper()
	return tools.All(tools.Config{Store: openStore(t), Clusters: sample(t), Playbooks: playbooks(t)})
}

// What the model sees of a tool, at about four characters a token.
const maxLoadedTokens = 2000

func TestToolListIsWhatTheModelSees(t *testing.T) {
	srv, err := mcptest.NewServer(t, all(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	res, err := srv.Client().ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, tool := range res.Tools {
		text, err := json.Marshal(tool)
		if err != nil {
			t.Fatal(err)
		}
		if tool.Meta != nil && tool.Meta.AdditionalFields["anthropic/alwaysLoad"] == true {
			loaded += tokens(string(text))
		}
		if len(tool.Description) > 2000 {
			t.Errorf("%s: description of %d characters is cut by the client at 2,000", tool.Name, len(tool.Description))
		}
	}
	if loaded > maxLoadedTokens {
		t.Errorf("the always loaded tools take %d tokens, want at most %d", loaded, maxLoadedTokens)
	}
	text, err := json.MarshalIndent(res.Tools, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tools.json", append(text, '\n'))
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	s := start(t, sample(t))
	tests := []struct {
		name, tool string
		args       map[string]any
		want       string
	}{
		{"a misspelt one", "kube_problems", map[string]any{"cluster": "platform-dev", "namespac": "shop"}, `unknown argument "namespac"; it takes cluster (required), namespace, service`},
		{"a missing one", "kube_problems", map[string]any{"namespace": "shop"}, `argument "cluster" is missing (configured name or alias of the cluster)`},
		{"an empty one is missing", "kube_problems", map[string]any{"cluster": ""}, `argument "cluster" is missing`},
		{"a wrong type", "kube_logs", map[string]any{"cluster": "platform-dev", "namespace": "shop", "name": "cart", "tail": "ten"}, `argument "tail" is a string, want int64`},
		{"a wrong choice", "kube_logs", map[string]any{"cluster": "platform-dev", "namespace": "shop", "name": "cart", "view": "json"}, `argument "view" is "json", want one of lines, templates`},
		{"an unknown cluster", "kube_problems", map[string]any{"cluster": "prod-eu"}, `unknown cluster "prod-eu"; configured are platform-dev (dev), platform-prod (prod) also called platform, prod-par1`},
		{"a flag for a cluster", "kube_problems", map[string]any{"cluster": "--server=https://evil.example"}, "unknown cluster"},
		{"a path for a namespace", "kube_problems", map[string]any{"cluster": "platform-dev", "namespace": "../kube-system"}, "is not a namespace"},
		{"a path for a pod", "kube_logs", map[string]any{"cluster": "platform-dev", "namespace": "shop", "name": "../../secrets"}, "is not a name in Kubernetes"},
		{"a flag for a pod", "kube_logs", map[string]any{"cluster": "platform-dev", "namespace": "shop", "name": "--server=x"}, "is not a name in Kubernetes"},
		{"a kind that is none", "kube_get", map[string]any{"cluster": "platform-dev", "kind": "pods/exec"}, `has no kind "pods/exec"`},
		{"a broken selector", "kube_get", map[string]any{"cluster": "platform-dev", "kind": "pods", "selector": "a in"}, "cannot be read"},
		{"a broken span", "kube_events", map[string]any{"cluster": "platform-dev", "since": "yesterday"}, "write it like 15m"},
		{"a broken pattern", "kube_logs", map[string]any{"cluster": "platform-dev", "namespace": "shop", "name": "cart", "grep": "("}, "not a regular expression"},
		{"a pod that is not there", "kube_logs", map[string]any{"cluster": "platform-dev", "namespace": "shop", "name": "nope"}, "no pod or workload nope in namespace shop"},
		{"an object that is not there", "kube_get", map[string]any{"cluster": "platform-dev", "kind": "deploy", "namespace": "shop", "name": "nope"}, `"nope" not found`},
		{"an object without its namespace", "kube_get", map[string]any{"cluster": "platform-dev", "kind": "deploy", "name": "cart"}, "give namespace too"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, failed := session{t, s.srv}.call(tt.tool, tt.args)
			if !failed || !strings.HasPrefix(got, tt.tool+": ") || !strings.Contains(got, tt.want) {
				t.Errorf("%s%v = %q (error %v), want an error with %q", tt.tool, tt.args, got, failed, tt.want)
			}
		})
	}
}

func TestNoClusterIsConfigured(t *testing.T) {
	got, failed := start(t, tools.NewClusters()).call("kube_problems", map[string]any{"cluster": "prod"})
	if want := "kube_problems: no cluster is configured; the operator adds one under clusters: in watchkeeper.yaml"; !failed || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnreachableClusterIsAFinding(t *testing.T) {
	s := start(t, tools.NewClusters(
		tools.ClusterConfig{Name: "misread", Kubeconfig: "/nonexistent/kubeconfig"},
		tools.ClusterConfig{Name: "down", Config: cluster.RESTConfig("http://127.0.0.1:1", "down")},
	))
	for name, want := range map[string]string{
		"misread": `read context "misread" of the kubeconfig`,
		"down":    "list pods in down: cannot be reached",
	} {
		if got, failed := s.call("kube_problems", map[string]any{"cluster": name}); !failed || !strings.Contains(got, want) {
			t.Errorf("kube_problems(%s) = %q (error %v), want an error with %q", name, got, failed, want)
		}
	}
}

func TestServerInstructionsFit(t *testing.T) {
	s := tools.New("1.2.3", all(t))
	res := s.HandleMessage(t.Context(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
	text, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Result struct {
			Instructions string `json:"instructions"`
			ServerInfo   struct{ Name, Version string }
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Result.Instructions); n == 0 || n >= 2000 {
		t.Errorf("instructions have %d characters, want 1 to 1,999", n)
	}
	if diff := cmp.Diff("sre-tools 1.2.3", fmt.Sprint(got.Result.ServerInfo.Name, " ", got.Result.ServerInfo.Version)); diff != "" {
		t.Errorf("server info (-want +got):\n%s", diff)
	}
}
