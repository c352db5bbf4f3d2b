package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"watchkeeper/secret"
)

// A Proof is what a sender shows to be let in: the token, or else a signature.
// The zero Proof shows nothing.
type Proof struct {
	Token     secret.Value
	HMAC      secret.Value // key of the signature
	Header    string       // for it
	Timestamp string       // header for the signed time; "" signs the body alone
}

// Put shows p in req, which carries body.
func (p Proof) Put(req *http.Request, body string, now time.Time) {
	switch {
	case p.Token.Set():
		req.Header.Set("Authorization", "Bearer "+p.Token.Reveal())
	case p.HMAC.Set():
		mac := hmac.New(sha256.New, []byte(p.HMAC.Reveal()))
		if p.Timestamp != "" {
			stamp := strconv.FormatInt(now.Unix(), 10)
			req.Header.Set(p.Timestamp, stamp)
			mac.Write([]byte(stamp + ":"))
		}
		mac.Write([]byte(body))
		req.Header.Set(p.Header, hex.EncodeToString(mac.Sum(nil)))
	}
}
