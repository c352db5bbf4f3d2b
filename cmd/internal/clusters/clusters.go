// Package clusters makes the clusters of the configuration reachable.
package clusters

import (
	"watchkeeper/config"
	"watchkeeper/tools"
)

// New returns the clusters that are configured in c. Nothing is connected
// before a tool needs it.
func New(c config.Config) *tools.Clusters {
	all := make([]tools.ClusterConfig, 0, len(c.Clusters))
	for name, cl := range c.Clusters {
		all = append(all, tools.ClusterConfig{Name: name, Aliases: cl.Aliases, Env: cl.Env, Kubeconfig: cl.Kubeconfig, Context: cl.Context})
	}
	return tools.NewClusters(all...)
}
