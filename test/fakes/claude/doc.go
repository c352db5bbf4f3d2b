// Package claude plays the interactive Claude Code CLI, for what the real one
// does only with its vendor's consent: it takes the servers of its MCP
// configuration as channels, and hands their events to a model.
//
// It keeps to what is documented or was seen of the real one (the tests of
// test/claude hold the same expectations against it): the first dialogs on the
// screen, the lines of the debug log, the hooks with their fields, the protocol
// of the servers, the permission relay, and that a server which has ended is
// started again only when a tool of it is called. Its model is a few lines: it
// answers every message, and gives every alert a verdict if it is told to.
//
// A test binary plays the CLI itself: [Main] belongs into its TestMain, and
// [New] makes the program that a session is started with.
package claude
