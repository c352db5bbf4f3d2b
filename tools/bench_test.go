package tools_test

import (
	"slices"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// BenchmarkTools prints what a call of every tool costs, in tokens of the answer
// and in time, by the examples of the documentation: the sample clusters, and a
// GitLab and a SigNoz on loopback. The four writes are left out: what they take
// is how long a rollout takes.
func BenchmarkTools(b *testing.B) {
	for _, c := range chapters() {
		set := c.serve(b)
		done := map[string]bool{}
		for _, e := range c.examples {
			if slices.Contains(runbook.Actions(), e.tool) || done[e.tool] {
				continue
			}
			done[e.tool] = true
			b.Run(e.tool, func(b *testing.B) { measure(b, set, e.tool, e.args) })
		}
	}
}

// measure calls a tool again and again. Its answer must not be an error, except
// for a second verdict of the same event.
func measure(b *testing.B, set []server.ServerTool, tool string, args map[string]any) {
	b.Helper()
	i := slices.IndexFunc(set, func(st server.ServerTool) bool { return st.Tool.Name == tool })
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, args
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		res, err := set[i].Handler(b.Context(), req)
		if err != nil || (res.IsError && tool != "log_verdict") {
			b.Fatalf("%s%v = %+v, %v", tool, args, res, err)
		}
		size = tokens(res.Content[0].(mcp.TextContent).Text)
	}
	b.ReportMetric(float64(size), "tokens")
}
