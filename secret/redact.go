package secret

import (
	"regexp"
	"strings"
)

// A rule replaces what a pattern finds; the replacement keeps the groups that
// say what kind of thing it was.
type rule struct {
	hint    string // a lower-case part of every match, to skip the pattern cheaply; "" always runs it
	pattern *regexp.Regexp
	replace string
}

// rules know the shapes of secrets that services print. They are chosen for
// telemetry: a false alarm costs the session a word, a miss costs a key.
var rules = []rule{
	{"private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----(?:\\n|[\s|A-Za-z0-9+/=:,])*(-----END [A-Z ]*-----)?`), "[redacted private key]"},
	{"", regexp.MustCompile(`\b(?:AKIA|ASIA|AROA|AIDA|AGPA)[A-Z0-9]{16}\b`), "[redacted AWS key]"},
	{"gl", regexp.MustCompile(`\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas)-[\w.-]{16,}`), "[redacted GitLab token]"},
	{"gh", regexp.MustCompile(`\bgh[pousr]_[A-Za-z0-9]{30,}`), "[redacted GitHub token]"},
	{"github_pat_", regexp.MustCompile(`\bgithub_pat_\w{22,}`), "[redacted GitHub token]"},
	{"xo", regexp.MustCompile(`\bxox[a-z]-[\w-]{10,}`), "[redacted Slack token]"},
	{"xapp-", regexp.MustCompile(`\bxapp-[\w-]{10,}`), "[redacted Slack token]"},
	{"hooks.slack.com", regexp.MustCompile(`hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]+`), "hooks.slack.com/" + redacted},
	{"aiza", regexp.MustCompile(`\bAIza[\w-]{35}`), "[redacted Google key]"},
	{"sk", regexp.MustCompile(`\b(?:sk|rk|pk)[-_](?:live|test|ant|proj|svcacct)?[-_]?[\w-]{20,}`), "[redacted key]"},
	{"npm_", regexp.MustCompile(`\bnpm_[A-Za-z0-9]{36}`), "[redacted npm token]"},
	{"hvs.", regexp.MustCompile(`\bhvs\.[\w-]{20,}`), "[redacted Vault token]"},
	{"age-secret-key-", regexp.MustCompile(`\bAGE-SECRET-KEY-1[A-Z0-9]+`), "[redacted age key]"},
	{"eyj", regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?`), "[redacted JWT]"},
	{"://", regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*):[^\s@/"']+@`), "${1}:" + redacted + "@"},
	{"authorization", regexp.MustCompile(`(?i)(authorization["']?\s*[:=]\s*["']?)(?:(?:basic|bearer|digest|token|negotiate)\s+)?[^\s"',;\[]+`), "${1}" + redacted},
	{"bearer", regexp.MustCompile(`(?i)\b(bearer)\s+[\w.~+/=-]{12,}`), "${1} " + redacted},
	{"", regexp.MustCompile(`(?i)\b((?:[\w.-]*[_.-])?(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|client[_-]?secret|credentials?)(?:[_-]?(?:id|value|base64|b64))?["']?\s*(?:[:=]|=>)\s*)("[^"]*"|'[^']*'|[^\s"',;&})\[\]|]+)`), "${1}" + redacted},
	{"--pass", regexp.MustCompile(`(--pass(?:word)?)[ =]\S+`), "${1} " + redacted},
	{"sharedaccesskey", regexp.MustCompile(`(?i)(SharedAccessKey|AccountKey)=[\w+/=]+`), "${1}=" + redacted},
	{"x-amz-", regexp.MustCompile(`(?i)(X-Amz-(?:Signature|Credential|Security-Token))=[^&\s"']+`), "${1}=" + redacted},
}

// Redact replaces what looks like a secret: known token formats, private keys,
// passwords in URLs, authorization headers and the values of telling keys. It
// leaves what it redacted before as it is.
func Redact(s string) string {
	folded := strings.ToLower(s)
	for _, r := range rules {
		if r.hint == "" || strings.Contains(folded, r.hint) {
			s = r.pattern.ReplaceAllString(s, r.replace)
		}
	}
	return s
}
