package tools

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// tokenMargin is how long before its end a token should be replaced.
const tokenMargin = 14 * runbook.Day

// expiry checks how long the token of a cluster is valid. It reports false for
// credentials that are no token with an end: a client certificate, or the token
// of a Secret, which ends when the Secret is deleted.
func (k checkup) expiry(token, file string, now time.Time) (DoctorRow, bool) {
	if token == "" && file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return DoctorRow{}, false // the requests say what is wrong with it
		}
		token = string(text)
	}
	end, ok := endOf(strings.TrimSpace(token))
	if !ok {
		return DoctorRow{}, false
	}
	row := DoctorRow{
		Cluster: k.cluster.Name, What: "hold a token that lasts", Want: "at least " + runbook.Short(tokenMargin),
		Got: runbook.Short(max(end.Sub(now), 0).Truncate(time.Minute)), OK: end.Sub(now) >= tokenMargin,
		Detail: "it ends at " + end.UTC().Format("2006-01-02 15:04 UTC"),
	}
	if !row.OK {
		row.Fix = "make a new one before that, as deploy/kubernetes/README.md says under Rotation"
	}
	return row, true
}

// endOf reads when a JWT ends. The signature is none of our business: the
// server checks it.
func endOf(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil || claims.Expires == 0 {
		return time.Time{}, false
	}
	return time.Unix(claims.Expires, 0), true
}
