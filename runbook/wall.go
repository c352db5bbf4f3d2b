package runbook

import (
	"fmt"
	"slices"
	"strings"
)

// SubAgents are the agents that a session may start. Others of the client, such
// as general-purpose, have every tool of the session.
func SubAgents() []string { return []string{"investigator", "verifier", "scribe"} }

// SubAgentTools are the tools that a sub-agent may use, as "server/tool": those
// that only read. What is not listed acts on the world, and only the dispatcher
// does that.
func SubAgentTools() []string {
	return []string{
		"sre-tools/argo_workflows", "sre-tools/argocd_apps", "sre-tools/briefing", "sre-tools/first_look", "sre-tools/get_playbook",
		"sre-tools/gitlab_commits", "sre-tools/gitlab_deployments", "sre-tools/gitlab_merge_diff", "sre-tools/gitlab_recent_merges",
		"sre-tools/incident_history", "sre-tools/kube_events", "sre-tools/kube_get", "sre-tools/kube_logs", "sre-tools/kube_problems",
		"sre-tools/signoz_alert_history", "sre-tools/signoz_alert_rules", "sre-tools/signoz_logs", "sre-tools/signoz_metrics",
		"sre-tools/signoz_trace", "sre-tools/signoz_traces",
		"slack/list_escalations", "slack/read_thread",
		"webhook/pending_events",
	}
}

// DispatcherTools are the tools that the session itself may use besides
// starting sub-agents, as "server/tool": verdicts, people, the overview and the
// four safe actions. It never investigates.
func DispatcherTools() []string {
	return []string{
		"sre-tools/log_verdict", "sre-tools/briefing", "sre-tools/tuning_proposals",
		"sre-tools/restart_deployment", "sre-tools/delete_stuck_pod", "sre-tools/clear_stuck_workflow", "sre-tools/refresh_argocd_app",
		"slack/escalate", "slack/update_escalation", "slack/send_message", "slack/reply", "slack/list_escalations", "slack/read_thread",
		"webhook/pending_events",
	}
}

// ToolSearch is the client's own tool that finds deferred ones. With the one
// that starts sub-agents it is all that a session has of the client.
const ToolSearch = "ToolSearch"

// StartsAgent reports whether tool is the client's own that starts a sub-agent;
// it was called Task once.
func StartsAgent(tool string) bool { return tool == "Agent" || tool == "Task" }

// MayUse returns nil if agent may use tool, named as the client names it; agent
// "" is the dispatcher. The error says to the model what to do instead.
func MayUse(agent, tool string) error {
	switch {
	case agent != "" && !slices.Contains(SubAgents(), agent):
		return fmt.Errorf("%q is no agent of this runbook and may use no tool; the agents are %s", oneLine(agent), strings.Join(SubAgents(), ", "))
	case tool == ToolSearch, agent == "" && StartsAgent(tool):
		return nil
	case agent == "" && slices.Contains(DispatcherTools(), ServerTool(tool)), agent != "" && slices.Contains(SubAgentTools(), ServerTool(tool)):
		return nil
	case agent == "" && slices.Contains(SubAgentTools(), ServerTool(tool)):
		return fmt.Errorf("%s belongs to the sub-agents: start an investigator and put the question into its brief", oneLine(tool))
	case agent == "":
		return fmt.Errorf("%s is not a tool of the dispatcher, and there is no other way to the same end; section 1 of CLAUDE.md lists yours", oneLine(tool))
	}
	return fmt.Errorf("%s is not a tool of a sub-agent: you only read. Put what should be done under ACTION or RECOMMEND", oneLine(tool))
}

// ServerTool splits the client's name of a tool, mcp__slack__reply or
// mcp__plugin_watchkeeper_slack__reply, into "slack/reply"; "" if it is none of
// a server.
func ServerTool(tool string) string {
	rest, ok := strings.CutPrefix(tool, "mcp__")
	if !ok {
		return ""
	}
	server, name, ok := strings.Cut(rest, "__")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(server, "plugin_watchkeeper_") + "/" + name
}
