// Package watchkeeper embeds the workspace of a session: the runbook, the
// playbooks, the agents and the settings.
//
// It is the one Go file at the top, because only a file above what it embeds
// can embed it, and the runbook has to stay where Claude Code reads it.
package watchkeeper

import "embed"

// Workspace holds CLAUDE.md, .claude and playbooks, as they are at the top of
// the source.
//
//go:embed CLAUDE.md playbooks/*.md all:.claude
var Workspace embed.FS
