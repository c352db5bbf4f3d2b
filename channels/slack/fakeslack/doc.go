// Package fakeslack is a small Slack on loopback: the Web API and Socket Mode,
// with the shapes, the errors and the faults of the real one.
//
// The [Server] keeps one workspace in memory. A program talks to it when its
// slack.api_url is [Server.URL]. A test acts as the people: it says, replies,
// edits and presses the buttons that a message really has, reads what people
// see, and makes things go wrong: a lost reply, a rate limit, a dropped
// connection, an event twice or out of order.
//
// It follows the documented behaviour where the real one is strict: an event
// that is not acknowledged within three seconds comes again, with a new
// envelope and the same event; a scheduled message with metadata is accepted
// and never posted; one that is due within a minute cannot be deleted. It has
// one bot and one team, and knows no permissions besides the bot's scopes.
package fakeslack
