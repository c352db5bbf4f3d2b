package tools

import "github.com/mark3labs/mcp-go/server"

// Kube returns the tools that read clusters: kube_problems, kube_get,
// kube_logs and kube_events.
func Kube(clusters *Clusters) []server.ServerTool {
	return []server.ServerTool{kubeProblems(clusters), kubeGet(clusters), kubeLogs(clusters), kubeEvents(clusters)}
}
