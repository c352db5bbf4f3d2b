// Package secret holds tokens that must not reach a log, an error, the
// session or Slack.
package secret

import "log/slog"

const redacted = "[redacted]"

// A Value is a token that cannot be printed by accident. It holds a pointer
// because fmt ignores String on unexported struct fields: printed that way, a
// Value shows an address and never the token. The zero Value is no token.
type Value struct{ token *string }

// New returns a Value that holds token; "" gives the zero Value.
func New(token string) Value {
	if token == "" {
		return Value{}
	}
	return Value{&token}
}

// Reveal returns the token, or "" if there is none. Call it only where the
// token goes on the wire.
func (v Value) Reveal() string {
	if v.token == nil {
		return ""
	}
	return *v.token
}

// Set reports whether there is a token.
func (v Value) Set() bool { return v.token != nil }

// String implements [fmt.Stringer] without the token.
func (Value) String() string { return redacted }

// GoString implements [fmt.GoStringer] without the token.
func (Value) GoString() string { return redacted }

// LogValue implements [slog.LogValuer] without the token.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] without the token.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
