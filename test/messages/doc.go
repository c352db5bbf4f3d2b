// Package messages is a scripted Messages API for tests: it plays the model.
//
// A [Script] answers POST /v1/messages, streaming or not, by the first [Rule]
// that matches what the client sent, and records every request, so that a test
// can say both what the model does and what the model was shown. It also
// answers count_tokens, and 404 to the rest, as the CLI expects of a server
// that offers nothing else.
//
// Script is an [net/http.Handler]; serve it on loopback with httptest. It
// never sleeps: a rule that must be slow waits for a channel of the test.
package messages
