// Package toolbox makes what the tools need of the configuration: clusters,
// GitLab and SigNoz. Nothing is connected before a tool needs it.
package toolbox

import (
	"watchkeeper/cmd/internal/house"
	"watchkeeper/config"
	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// New returns the configuration of all tools.
func New(h *house.House) (tools.Config, error) {
	c := h.Config
	reach := Clusters(c)
	gitlab, err := tools.NewGitLab(c.GitLab.URL, c.Secrets.GitLab, c.GitLab.Projects)
	if err != nil {
		return tools.Config{}, err
	}
	return tools.Config{
		Store: h.Store, Clusters: reach, GitLab: gitlab, SigNoz: tools.NewSigNoz(c.SigNoz.URL, c.Secrets.SigNoz, reach),
		Playbooks: h.Playbooks, Policy: c.Policy.Rules(), Location: c.Session.RestartAt.Location,
		Limits: runbook.WriteLimits{PerHour: c.Policy.Writes.PerHour, PerTargetPerHour: c.Policy.Writes.PerTargetPerHour},
	}, nil
}

// Clusters returns the configured clusters.
func Clusters(c config.Config) *tools.Clusters {
	all := make([]tools.ClusterConfig, 0, len(c.Clusters))
	for name, cl := range c.Clusters {
		all = append(all, tools.ClusterConfig{Name: name, Aliases: cl.Aliases, Env: cl.Env, Kubeconfig: cl.Kubeconfig, Context: cl.Context})
	}
	return tools.NewClusters(all...)
}
