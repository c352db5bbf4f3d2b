// Package claude_test runs the real Claude Code CLI, pinned in package.json,
// against a scripted Messages API on loopback.
//
// Every test has its own HOME, workspace and state; nothing reaches the
// network. `npm install` in this folder gets the CLI, CLAUDE_CLI names another
// one. Without it the tests are skipped, unless WATCHKEEPER_REQUIRE_CLAUDE is
// set: then its absence is a failure. `make test-claude` does all that.
package claude_test
