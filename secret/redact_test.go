package secret_test

import (
	"testing"

	"watchkeeper/secret"
)

func TestRedact(t *testing.T) {
	const pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJ\nq8Zr2LmX0vTtY4nB==\n-----END RSA PRIVATE KEY-----"
	tests := []struct{ name, in, want string }{
		{"a plain line stays", "GET /orders 200 in 12ms, 3 retries", "GET /orders 200 in 12ms, 3 retries"},
		{"a commit stays", "deployed 9f3c2d1e8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e", "deployed 9f3c2d1e8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e"},
		{"words about passwords stay", "password authentication failed for user \"cart\"", "password authentication failed for user \"cart\""},
		{"a token that expired stays", "the token expired, please log in", "the token expired, please log in"},
		{"a setting", "db.password=s3cret other=1", "db.password=[redacted] other=1"},
		{"a JSON field", `{"client_secret":"a b c","x":1}`, `{"client_secret":[redacted],"x":1}`},
		{"a YAML field", "apiKey: abcdef", "apiKey: [redacted]"},
		{"an environment variable", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=[redacted]"},
		{"a URL", "dial redis://:pw@cache:6379/0", "dial redis://:[redacted]@cache:6379/0"},
		{"a header", "Authorization: Basic dXNlcjpwYXNz", "Authorization: [redacted]"},
		{"a bearer token", "sent Bearer abcdefghijklmnop", "sent Bearer [redacted]"},
		{"a Slack token", "xoxb-1234567890-abcdefghij", "[redacted Slack token]"},
		{"a Slack hook", "https://hooks.slack.com/services/T0/B0/xyz", "https://hooks.slack.com/[redacted]"},
		{"a GitHub token", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[redacted GitHub token]"},
		{"a private key", "key: " + pem + " end", "key: [redacted private key] end"},
		{"a private key that is cut off", "-----BEGIN PRIVATE KEY-----\nMIIEowIBAAK", "[redacted private key]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := secret.Redact(tt.in)
			if got != tt.want {
				t.Errorf("Redact(%q) = %q, want %q", tt.in, got, tt.want)
			}
			if again := secret.Redact(got); again != got {
				t.Errorf("Redact(%q) = %q, want it unchanged", got, again)
			}
		})
	}
}
