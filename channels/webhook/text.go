package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// clean makes s valid UTF-8 without NUL, at most limit bytes long. NUL goes
// because SQL functions and C strings stop at it.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = strings.Clone(cut(s, limit)) // do not keep the whole body alive
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return cut(s, limit) // a replacement is longer than what it replaces
}

// cut shortens s to at most limit bytes without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// hashOf returns 32 hexadecimal digits that stand for parts. The separator
// occurs in no valid UTF-8, so ("ab", "c") differs from ("a", "bc").
func hashOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0xff})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// pairs returns the keys and values of m sorted by key, without the keys that
// skip names.
func pairs(m map[string]string, skip ...string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		if !slices.Contains(skip, k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	list := make([]string, 0, 2*len(keys))
	for _, k := range keys {
		list = append(list, k, m[k])
	}
	return list
}

// timeOf reads a sender's time. What is no time, or lies outside 1970 to
// 2261, where nanoseconds fit in 64 bits, is the zero time: an alert with a
// bad clock is still an alert.
func timeOf(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t = t.UTC(); t.Year() < 1970 || t.Year() > 2261 {
			return time.Time{}
		}
		return t
	}
	return time.Time{}
}
