package tools_test

import (
	"testing"
)

func TestProblemsExplainInOneCall(t *testing.T) {
	s := start(t, sample(t))
	tests := []struct {
		name   string
		args   map[string]any
		tokens int
	}{
		{"problems_prod", map[string]any{"cluster": "platform-prod"}, 2000},
		{"problems_dev", map[string]any{"cluster": "platform-dev"}, 2000},
		{"problems_namespace", map[string]any{"cluster": "platform", "namespace": "tenants"}, 2000},
		{"problems_cart", map[string]any{"cluster": "platform-prod", "service": "cart"}, 1500},
		{"problems_orders_api", map[string]any{"cluster": "platform-prod", "service": "shop/orders-api"}, 1500},
		{"problems_recovered", map[string]any{"cluster": "platform-dev", "service": "export-worker"}, 1500},
		{"problems_healthy", map[string]any{"cluster": "platform-prod", "service": "checkout-api"}, 1500},
		{"problems_unknown_service", map[string]any{"cluster": "platform-prod", "service": "checkout"}, 1500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, failed := session{t, s.srv}.call("kube_problems", tt.args)
			if failed {
				t.Fatalf("kube_problems%v failed: %s", tt.args, got)
			}
			if n := tokens(got); n > tt.tokens {
				t.Errorf("kube_problems%v took %d tokens, want at most %d", tt.args, n, tt.tokens)
			}
			golden(t, tt.name+".txt", stable(got))
		})
	}
}
