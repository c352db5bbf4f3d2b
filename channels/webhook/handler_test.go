package webhook_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/channels/webhook"
	"watchkeeper/secret"
)

const small = `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"X"}}]}`

// do serves one request.
func do(h http.Handler, method, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPathsAndMethods(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		code                     int
		want                     string // in the answer
		source                   string // as stored; "" for nothing stored
	}{
		{"without a source", "POST", "/webhook", small, 200, `{"accepted":1,"duplicates":0}`, "alertmanager"},
		{"Grafana may PUT", "PUT", "/webhook/", small, 200, `"accepted":1`, "alertmanager"},
		{"the path names the sender", "POST", "/webhook/Grafana-Prod_1/", small, 200, `"accepted":1`, "grafana-prod_1"},
		{"a strange name is made plain", "POST", "/webhook/a%20%3Cb%3Eé", small, 200, `"accepted":1`, "a--b"},
		{"a long name is cut", "POST", "/webhook/" + strings.Repeat("x", 99), small, 200, `"accepted":1`, strings.Repeat("x", 40)},
		{"a name of nothing", "POST", "/webhook/%20", small, 200, `"accepted":1`, "alertmanager"},
		{"no alerts in it", "POST", "/webhook", `{"alerts":[]}`, 200, `{"accepted":0,"duplicates":0}`, ""},
		{"unknown JSON is kept", "POST", "/webhook", `{"a":1}`, 200, `"accepted":1`, "unrecognised"},
		{"not JSON", "POST", "/webhook", `nope`, 400, "line 1, column 2", ""},
		{"a path too deep", "POST", "/webhook/a/b", small, 404, "POST alerts to /webhook", ""},
		{"a path that only begins so", "POST", "/webhooks", small, 404, "/webhook/SOURCE", ""},
		{"the root", "POST", "/", small, 404, "/webhook", ""},
		{"looking at it", "GET", "/webhook", "", 405, "POST alerts here", ""},
		{"posting to a page", "POST", "/metrics", small, 405, "alerts go to /webhook", ""},
		{"healthy", "GET", "/healthz", "", 200, "ok", ""},
		{"ready", "GET", "/readyz", "", 200, "ready", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m memory
			w := do(newHandler(&m, nil, func(c *webhook.Config) { c.Ready = &m }), tt.method, tt.path, strings.NewReader(tt.body))
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%s %s = %d %q, want %d with %q", tt.method, tt.path, w.Code, w.Body, tt.code, tt.want)
			}
			got := ""
			for _, b := range m.stored() {
				got = b.Source
			}
			if got != tt.source {
				t.Errorf("stored from %q, want %q", got, tt.source)
			}
		})
	}
}

func TestEveryCapturedRequestIsStored(t *testing.T) {
	var m memory
	h := newHandler(&m, nil)
	for _, p := range payloads(t) {
		headers := []string{}
		for k, v := range p.headers {
			headers = append(headers, k, v)
		}
		if w := do(h, p.method, "/webhook", bytes.NewReader(p.body), headers...); w.Code != http.StatusOK {
			t.Errorf("%s = %d %s", p.name, w.Code, w.Body)
		}
	}
	if got, want := len(m.stored()), len(payloads(t)); got != want {
		t.Errorf("%d batches stored, want %d", got, want)
	}
}

func sign(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestWhoMaySend(t *testing.T) {
	const header, stamp = "X-Grafana-Alerting-Signature", "X-Time"
	now := time.Now().Unix()
	at := func(d time.Duration) string { return strconv.FormatInt(now+int64(d.Seconds()), 10) }
	token := func(c *webhook.Config) { c.Token = secret.New("s3cret") }
	key := func(c *webhook.Config) { c.HMAC = secret.New("k") }
	stamped := func(c *webhook.Config) { c.HMAC, c.HMACTimestamp = secret.New("k"), stamp }
	own := func(c *webhook.Config) { c.HMAC, c.HMACHeader = secret.New("k"), "X-Own" }
	both := func(c *webhook.Config) { token(c); key(c) }
	open := func(*webhook.Config) {}
	tests := []struct {
		name    string
		config  func(*webhook.Config)
		headers []string
		code    int
	}{
		{"nobody is asked on the loopback", open, nil, 200},
		{"Bearer", token, []string{"Authorization", "Bearer s3cret"}, 200},
		{"bearer in lower case", token, []string{"Authorization", "bearer s3cret"}, 200},
		{"Basic", token, []string{"Authorization", "Basic dXNlcjpzM2NyZXQ="}, 200}, // user:s3cret
		{"the wrong token", token, []string{"Authorization", "Bearer s3cre"}, 401},
		{"the wrong password", token, []string{"Authorization", "Basic dXNlcjp3cm9uZw=="}, 401},
		{"the token as the user", token, []string{"Authorization", "Basic czNjcmV0Og=="}, 401},
		{"an empty token", token, []string{"Authorization", "Bearer "}, 401},
		{"nothing", token, nil, 401},
		{"a signature without a key to check it", token, []string{header, sign("", small)}, 401},
		{"a signed body", key, []string{header, sign("k", small)}, 200},
		{"the library's name of the header", key, []string{"X-Grafana-Alert-Signature", sign("k", small)}, 200},
		{"the wrong key", key, []string{header, sign("x", small)}, 401},
		{"no hex", key, []string{header, "zz"}, 401},
		{"no signature", key, nil, 401},
		{"a configured header", own, []string{"X-Own", sign("k", small)}, 200},
		{"the usual header though another is configured", own, []string{header, sign("k", small)}, 401},
		{"signed with the time", stamped, []string{stamp, at(0), header, sign("k", at(0)+":"+small)}, 200},
		{"signed a while ago", stamped, []string{stamp, at(-4 * time.Minute), header, sign("k", at(-4*time.Minute)+":"+small)}, 200},
		{"a replay", stamped, []string{stamp, at(-6 * time.Minute), header, sign("k", at(-6*time.Minute)+":"+small)}, 401},
		{"from the future", stamped, []string{stamp, at(6 * time.Minute), header, sign("k", at(6*time.Minute)+":"+small)}, 401},
		{"a time that is not signed", stamped, []string{stamp, at(0), header, sign("k", small)}, 401},
		{"no time", stamped, []string{header, sign("k", ":"+small)}, 401},
		{"either will do: the token", both, []string{"Authorization", "Bearer s3cret"}, 200},
		{"either will do: the signature", both, []string{header, sign("k", small)}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m memory
			var log strings.Builder
			w := do(newHandler(&m, &log, tt.config), "POST", "/webhook", strings.NewReader(small), tt.headers...)
			if w.Code != tt.code || (len(m.stored()) == 1) != (tt.code == 200) {
				t.Errorf("%v = %d %s, %d stored; want %d", tt.headers, w.Code, w.Body, len(m.stored()), tt.code)
			}
			if (w.Code == 401) != (len(w.Header().Values("WWW-Authenticate")) == 2) {
				t.Errorf("code %d with WWW-Authenticate %q", w.Code, w.Header().Values("WWW-Authenticate"))
			}
			if all := log.String() + w.Body.String(); strings.Contains(all, "s3cret") || strings.Contains(all, "alertname") {
				t.Errorf("log or answer tells too much: %s", all)
			}
		})
	}
}

func TestGrafanaSignatureAsCaptured(t *testing.T) {
	for _, p := range payloads(t) {
		if p.name != "grafana/grafana-hmac-001" {
			continue
		}
		h := newHandler(&memory{}, nil, func(c *webhook.Config) { c.HMAC = secret.New("test-hmac-secret") })
		const header = "X-Grafana-Alerting-Signature"
		if w := do(h, "POST", "/webhook", bytes.NewReader(p.body), header, p.headers[header]); w.Code != 200 {
			t.Errorf("captured request = %d %s, want 200", w.Code, w.Body)
		}
		if w := do(h, "POST", "/webhook", bytes.NewReader(append(p.body, ' ')), header, p.headers[header]); w.Code != 401 {
			t.Errorf("captured request with one more byte = %d, want 401", w.Code)
		}
		return
	}
	t.Fatal("no captured request with a signature")
}

func zipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSizesAndEncodings(t *testing.T) {
	// padded makes a valid body of n bytes.
	padded := func(n int) []byte {
		return append(bytes.Repeat([]byte(" "), n-len(small)), small...)
	}
	tests := []struct {
		name     string
		body     []byte
		encoding string
		code     int
		want     string
	}{
		{"as large as can be", padded(webhook.MaxBody), "", 200, "accepted"},
		{"one byte more", padded(webhook.MaxBody + 1), "", 413, "body over 10 MiB"},
		{"too many alerts", []byte(`{"alerts":[` + strings.Repeat(`{},`, webhook.MaxAlerts) + `{}]}`), "", 413, "more than 10000 alerts"},
		{"gzip", zipped(t, []byte(small)), "gzip", 200, "accepted"},
		{"gzip in capitals", zipped(t, []byte(small)), "GZIP", 200, "accepted"},
		{"gzip as large as can be", zipped(t, padded(webhook.MaxBody)), "gzip", 200, "accepted"},
		{"a gzip bomb", zipped(t, make([]byte, 40<<20)), "gzip", 413, "inflated body over 10 MiB"},
		{"gzip that is none", []byte(small), "gzip", 400, "not gzip"},
		{"gzip cut off", zipped(t, padded(4096))[:20], "gzip", 400, "inflate the body"},
		{"gzip that nobody declared", zipped(t, []byte(small)), "", 400, "not JSON"},
		{"another compression", []byte(small), "zstd", 415, "Content-Encoding: gzip"},
		{"identity", []byte(small), "identity", 200, "accepted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, length := range []string{"declared", "chunked"} {
				var body io.Reader = bytes.NewReader(tt.body)
				if length == "chunked" {
					body = struct{ io.Reader }{body}
				}
				w := do(newHandler(&memory{}, nil), "POST", "/webhook", body, "Content-Encoding", tt.encoding)
				if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("%s: %d %q, want %d with %q", length, w.Code, w.Body, tt.code, tt.want)
				}
			}
		})
	}
}

func TestSignatureIsOfTheCompressedBody(t *testing.T) {
	body := zipped(t, []byte(small))
	h := newHandler(&memory{}, nil, func(c *webhook.Config) { c.HMAC = secret.New("k") })
	w := do(h, "POST", "/webhook", bytes.NewReader(body), "Content-Encoding", "gzip", "X-Grafana-Alerting-Signature", sign("k", string(body)))
	if w.Code != 200 {
		t.Errorf("signed gzip = %d %s, want 200", w.Code, w.Body)
	}
}

func TestOurTroubleIsNeverTheSendersFault(t *testing.T) {
	tests := []struct {
		name  string
		store *memory
		body  io.Reader
		want  string // in the answer
		log   string
	}{
		{"the disk is full", &memory{err: errors.New("disk full")}, strings.NewReader(small), "alerts not stored, send them again", "disk full"},
		{"a panic", &memory{put: func(context.Context) { panic("boom") }}, strings.NewReader(small), "alerts not stored", "boom"},
		{"the body stalls", &memory{}, io.MultiReader(strings.NewReader(small[:9]), failing{os.ErrDeadlineExceeded}), "did not arrive in full", "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			w := do(newHandler(tt.store, &log), "POST", "/webhook", tt.body)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("answer %d, Retry-After %q, %q; want 503, 5, %q", w.Code, w.Header().Get("Retry-After"), w.Body, tt.want)
			}
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), tt.log) || strings.Contains(log.String(), "alertname") {
				t.Errorf("log = %q, want one line with %q", log.String(), tt.log)
			}
		})
	}
}

// failing is a reader that fails with err.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestNotReadyWhenTheStoreIsNot(t *testing.T) {
	m := &memory{err: errors.New("read-only database at /secret/path")}
	w := do(newHandler(m, nil, func(c *webhook.Config) { c.Ready = m }), "GET", "/readyz", nil)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "/secret") {
		t.Errorf("/readyz = %d %q, want 503 without the path", w.Code, w.Body)
	}
}

func TestHangingUpDoesNotUndoTheStore(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	m := &memory{put: func(put context.Context) {
		hangUp()
		if put.Err() != nil {
			t.Errorf("context of Put is done: %v", put.Err())
		}
		if _, ok := put.Deadline(); !ok {
			t.Error("context of Put has no deadline")
		}
	}}
	h := newHandler(m, nil)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/webhook", strings.NewReader(small)).WithContext(ctx))
	if len(m.stored()) != 1 {
		t.Errorf("%d batches stored, want 1", len(m.stored()))
	}
}

func TestConcurrentRequestsDoNotShareText(t *testing.T) {
	var m memory
	h := newHandler(&m, nil)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() { // with different lengths, so that a reused buffer would show
			body := strings.Replace(small, "X", strings.Repeat(strconv.Itoa(i)+".", 1+i*7%50), 1)
			do(h, "POST", fmt.Sprintf("/webhook/s%d", i), strings.NewReader(body))
		})
	}
	wg.Wait()
	for _, b := range m.stored() {
		name, n := b.Alerts[0].Name, strings.TrimPrefix(b.Source, "s")
		if strings.Trim(strings.ReplaceAll(name, n+".", ""), ".") != "" {
			t.Errorf("alert from %s is called %q", b.Source, name)
		}
	}
	if len(m.stored()) != 64 {
		t.Errorf("%d batches stored, want 64", len(m.stored()))
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	h := newHandler(&memory{}, nil, func(c *webhook.Config) {
		c.Token = secret.New("t")
		c.Gauges = []webhook.Gauge{{Name: "watchkeeper_pending", Help: "Waiting.", Value: func(context.Context) float64 { return 7 }}}
	})
	for range 2 {
		do(h, "POST", "/webhook/signoz", strings.NewReader(small), "Authorization", "Bearer t")
	}
	do(h, "POST", "/webhook/signoz", strings.NewReader("x"), "Authorization", "Bearer t")
	do(h, "POST", "/webhook/anything", strings.NewReader(small))
	for i := range 100 {
		do(h, "POST", fmt.Sprintf("/webhook/s%d", i), strings.NewReader(small), "Authorization", "Bearer t")
	}
	page := do(h, "GET", "/metrics", nil).Body.String()
	for _, want := range []string{
		`watchkeeper_webhook_requests_total{code="200",outcome="stored",source="signoz"} 2`,
		`watchkeeper_webhook_requests_total{code="400",outcome="rejected",source="signoz"} 1`,
		`watchkeeper_webhook_requests_total{code="401",outcome="denied",source="unauthenticated"} 1`,
		`watchkeeper_webhook_alerts_total{outcome="accepted",source="signoz"} 2`,
		`watchkeeper_webhook_alerts_total{outcome="accepted",source="other"} 52`,
		`watchkeeper_webhook_request_duration_seconds_count 104`,
		"watchkeeper_pending 7",
		"go_goroutines",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
