package tools

import (
	"math"
	"regexp"
	"strings"

	"watchkeeper/secret"
)

const redacted = "[redacted]"

var (
	tellingKey  = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|pwd|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|signing|encryption|credential|auth|\bkey\b|_key$|\.key$|cert|salt|cookie|dsn|conn(ection)?[_.-]?str|license|webhook)`)
	harmlessKey = regexp.MustCompile(`(?i)(name|ref|path|file|dir|namespace|seconds|ttl|timeout|expiry|enabled|type|mode|method|version|count|limit|mount|host|port|issuer|audience|realm)s?$`)
	literal     = regexp.MustCompile(`^(true|false|yes|no|on|off|null|none|)$`)
	opaque      = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{20,}$`)
)

// redactValue redacts the value of a setting by the name of its key, then by
// its shape. It is for environment variables and ConfigMaps, where the key
// says more than the value.
func redactValue(key, value string) string {
	switch {
	case literal.MatchString(strings.ToLower(value)):
		return value
	case tellingKey.MatchString(key) && !harmlessKey.MatchString(key) && !strings.Contains(value, "://"):
		return redacted
	case random(value):
		return redacted
	}
	return secret.Redact(value)
}

// random reports whether s looks like key material: one long word of mixed
// letters and digits with the entropy of noise. Hex digests do not count:
// commits and images are named by them.
func random(s string) bool {
	if !opaque.MatchString(s) || !strings.ContainsAny(s, "0123456789") ||
		strings.ToLower(s) == s || strings.ToUpper(s) == s {
		return false
	}
	var counts [256]float64
	for i := range len(s) {
		counts[s[i]]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			p := n / float64(len(s))
			bits -= p * math.Log2(p)
		}
	}
	return bits > 3.8
}
