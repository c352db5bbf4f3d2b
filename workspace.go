// Package watchkeeper embeds the workspace of a session: the runbook, the
// playbooks, the agents and the settings, and what helps to write its
// configuration.
//
// It is the one Go file at the top, because only a file above what it embeds
// can embed it, and the runbook has to stay where Claude Code reads it.
package watchkeeper

import "embed"

// Workspace holds CLAUDE.md, .claude and playbooks, and the example and the
// schema of watchkeeper.yaml, as they are at the top of the source.
//
//go:embed CLAUDE.md playbooks/*.md all:.claude watchkeeper.example.yaml watchkeeper.schema.json
var Workspace embed.FS
