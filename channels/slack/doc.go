// Package slack is the way to people and back: a human on a phone, who may be
// asleep.
//
// Nothing that matters lives in this package. What people say is a row of the
// memory before Slack is told that it arrived, and what we say is a row of the
// outbox before it is sent; so any process may die at any instant.
//
//   - The [Link] holds the one Socket Mode connection: it stores, acknowledges
//     and then hands over what the people on call say and press, and reads the
//     history for what was said while nobody listened.
//   - The [Sender] moves the outbox to Slack. After an attempt whose end is
//     unknown it looks for the message's key in the conversation before it
//     sends again: a person sees each message once.
//   - The [Deadman] keeps a scheduled message ahead of now, which Slack sends
//     when we no longer can.
//
// All three belong to the process that holds the lock of the link (package
// state), because two connections would share the events between them. The
// package never takes a person's word, or a stranger's, for markup: what is
// sent is escaped and mentions only the people on call.
package slack
