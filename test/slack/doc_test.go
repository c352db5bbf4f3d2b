// Package slack_test runs the built slack-channel between a session and the
// fake Slack of channels/slack/fakeslack, and makes everything go wrong.
//
// It takes minutes, because the program keeps the pace that Slack asks for. The
// tests run only when WATCHKEEPER_REQUIRE_CHAOS is set, with the program that
// `make build` makes: `make test-slack` does both.
package slack_test
