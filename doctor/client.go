package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	askWithin = 10 * time.Second
	maxAnswer = 4 << 20
)

// client asks and does not follow: a redirect would carry a key elsewhere.
func client() *http.Client {
	return &http.Client{
		Timeout:       askWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// An answer is what a service said.
type answer struct {
	status int
	body   []byte
}

// json decodes the body, and reports whether it is what was wanted.
func (a answer) json(into any) bool { return json.Unmarshal(a.body, into) == nil }

// ask sends a GET with header set to key.
func ask(ctx context.Context, address, header, key string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set(header, key)
	return send(req)
}

func send(req *http.Request) (answer, error) {
	res, err := client().Do(req)
	if err != nil {
		return answer{}, short(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("the answer broke off: %w", err)
	}
	return answer{res.StatusCode, body}, nil
}

// short leaves out the address, which the finding has.
func short(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// unexpected describes an answer that is no success.
func (a answer) unexpected() string {
	if text := strings.TrimSpace(string(a.body)); strings.HasPrefix(text, "<") {
		return fmt.Sprintf("it answers %d with a web page", a.status)
	}
	return fmt.Sprintf("it answers %d %s", a.status, http.StatusText(a.status))
}
