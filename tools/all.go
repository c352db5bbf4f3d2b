package tools

import (
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// A Store is what all tools together need of the memory.
type Store interface {
	store
	lookStore
	Noisebook
	ledger
}

// A Config is what [All] needs. Store is required; whatever else is nil is said
// to be not configured by the tools that need it.
type Config struct {
	Store     Store
	Clusters  *Clusters
	GitLab    *GitLabClient
	SigNoz    *SigNozClient
	Playbooks runbook.Playbooks
	Policy    runbook.Policy
	Limits    runbook.WriteLimits
	Location  *time.Location // of the dates of a briefing; nil is UTC
}

// All returns every tool of sre-tools.
func All(c Config) []server.ServerTool {
	if c.Clusters == nil {
		c.Clusters = NewClusters()
	}
	return slices.Concat(
		Memory(c.Store, c.Playbooks, MemoryConfig{Policy: c.Policy, Location: c.Location}),
		c.FirstLook().Tools(),
		Kube(c.Clusters), Argo(c.Clusters),
		GitLab(c.GitLab, c.Store), SigNoz(c.SigNoz, c.Store),
		Tuning(c.Store, c.SigNoz, c.Location),
		Writes(c.Clusters, c.Store, WritesConfig{Policy: c.Policy, Playbooks: c.Playbooks, Limits: c.Limits}))
}

// FirstLook returns the first look that the tool first_look takes.
func (c Config) FirstLook() *FirstLook {
	return NewFirstLook(FirstLookConfig{Clusters: c.Clusters, Store: c.Store, GitLab: c.GitLab, SigNoz: c.SigNoz})
}
