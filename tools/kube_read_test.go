package tools_test

import "testing"

func TestReadingTools(t *testing.T) {
	s := start(t, sample(t))
	prod := func(args map[string]any) map[string]any {
		args["cluster"] = "platform-prod"
		return args
	}
	tests := []struct {
		name, tool string
		args       map[string]any
	}{
		{"get_deployments", "kube_get", prod(map[string]any{"kind": "deploy", "namespace": "shop"})},
		{"get_page", "kube_get", prod(map[string]any{"kind": "pods", "limit": 3})},
		{"get_nodes", "kube_get", prod(map[string]any{"kind": "Node"})},
		{"get_deployment", "kube_get", prod(map[string]any{"kind": "deployment", "namespace": "shop", "name": "cart"})},
		{"get_secret", "kube_get", prod(map[string]any{"kind": "secret", "namespace": "shop", "name": "cart-db"})},
		{"get_configmap", "kube_get", prod(map[string]any{"kind": "cm", "namespace": "shop", "name": "cart-config"})},
		{"get_applications", "kube_get", prod(map[string]any{"kind": "applications.argoproj.io"})},
		{"logs_templates", "kube_logs", prod(map[string]any{"namespace": "shop", "name": "orders-api"})},
		{"logs_previous_lines", "kube_logs", prod(map[string]any{"namespace": "shop", "name": "cart", "previous": true, "view": "lines"})},
		{"logs_grep", "kube_logs", prod(map[string]any{"namespace": "shop", "name": "orders-api", "grep": "pool exhausted", "view": "lines", "tail": 2})},
		{"events", "kube_events", prod(map[string]any{})},
		{"events_object", "kube_events", prod(map[string]any{"namespace": "shop", "object": "Deployment/cart"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, failed := session{t, s.srv}.call(tt.tool, tt.args)
			if failed {
				t.Fatalf("%s%v failed: %s", tt.tool, tt.args, got)
			}
			if n := tokens(got); n > 8000 {
				t.Errorf("%s%v took %d tokens, want at most 8,000", tt.tool, tt.args, n)
			}
			golden(t, tt.name+".txt", stable(got))
		})
	}
}
