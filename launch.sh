#!/bin/sh
# Starts Claude Code by hand in channels mode: the three servers, the runbook of
# the current folder (or of this one), and nothing else of Watchkeeper. The
# servers receive alerts, hold the link to Slack and push into this session,
# unless watchkeeper up does so on the same state directory.
#
# Arguments go to claude. CLAUDE names another program than claude.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ -f CLAUDE.md ] || cd -- "$here"
workspace=$(pwd)
[ -x "$here/bin/webhook-channel" ] || {
	echo "launch.sh: no $here/bin/webhook-channel; build the programs with make build" >&2
	exit 1
}

export CLAUDE_PLUGIN_ROOT="$here" # where .mcp.json finds the servers
export WATCHKEEPER_PROGRAM="$here/bin/watchkeeper" # for the hooks of .claude/settings.json
export WATCHKEEPER_STATE="${WATCHKEEPER_STATE:-$workspace/var}"
if [ -z "${WATCHKEEPER_CONFIG:-}" ] && [ -f "$workspace/watchkeeper.yaml" ]; then
	export WATCHKEEPER_CONFIG="$workspace/watchkeeper.yaml"
fi
mkdir -p -m 700 "$WATCHKEEPER_STATE"

# The first message stands first and the channels last: that flag takes all that
# follows.
exec "${CLAUDE:-claude}" \
	"You are on duty. Call the tools briefing and pending_events, then wait for events." \
	--mcp-config "$here/.mcp.json" --strict-mcp-config \
	--settings "$workspace/.claude/settings.json" --permission-mode manual \
	--tools Agent,ToolSearch --disable-slash-commands \
	--debug=mcp --debug-file "$WATCHKEEPER_STATE/claude-debug.log" \
	"$@" \
	--dangerously-load-development-channels server:webhook server:slack
