package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"watchkeeper/secret"
)

// clockSkew is how far the time in a signed request may be from ours.
const clockSkew = 5 * time.Minute

// An auth knows who may send. Without token and key everybody may: the
// configuration allows that on the loopback only.
type auth struct {
	token   secret.Value
	key     secret.Value // of the HMAC
	headers []string     // where the signature may be
	stamp   string       // header with the signed time; "" if only the body is signed
}

// newAuth returns the rules of c. Grafana's library and its webhook contact
// point have different names for the header; without a configured one both
// count.
func newAuth(c Config) auth {
	a := auth{token: c.Token, key: c.HMAC, headers: []string{c.HMACHeader}, stamp: c.HMACTimestamp}
	if c.HMACHeader == "" {
		a.headers = []string{"X-Grafana-Alerting-Signature", "X-Grafana-Alert-Signature"}
	}
	return a
}

func (a auth) open() bool { return !a.token.Set() && !a.key.Set() }

// hasToken reports whether r carries the token, as Bearer or as the password
// of Basic.
func (a auth) hasToken(r *http.Request) bool {
	if !a.token.Set() {
		return false
	}
	if _, password, ok := r.BasicAuth(); ok {
		return same(password, a.token.Reveal())
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(token), a.token.Reveal())
}

// same compares in a time that depends on neither.
func same(got, want string) bool {
	g, w := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return hmac.Equal(g[:], w[:])
}

// mayBeSigned reports whether the body is worth reading to check a signature.
func (a auth) mayBeSigned(r *http.Request) bool { return a.key.Set() && a.signature(r) != "" }

func (a auth) signature(r *http.Request) string {
	for _, name := range a.headers {
		if v := r.Header.Get(name); v != "" {
			return strings.TrimPrefix(strings.TrimSpace(v), "sha256=")
		}
	}
	return ""
}

// signed reports whether the signature fits body, which is what went over the
// wire: Grafana signs what it sends.
func (a auth) signed(r *http.Request, body []byte, now time.Time) bool {
	got, err := hex.DecodeString(a.signature(r))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(a.key.Reveal()))
	if a.stamp != "" {
		stamp := r.Header.Get(a.stamp)
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > clockSkew {
			return false
		}
		mac.Write([]byte(stamp + ":"))
	}
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}
