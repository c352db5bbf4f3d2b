package watch_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"watchkeeper/secret"
	"watchkeeper/watch"
)

func TestPulse(t *testing.T) {
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		if strings.HasPrefix(r.URL.Path, "/refused") {
			http.Error(w, "no", http.StatusNotFound)
		}
	}))
	defer srv.Close()
	var unwell []string
	p := &watch.Pulse{URL: secret.New(srv.URL + "/t0ken"), Unwell: func(time.Time) []string { return unwell }, Log: quiet}
	step := func() error { return p.Step(t.Context(), time.Now()) }
	if err := step(); err != nil {
		t.Error(err)
	}
	unwell = []string{"no session is on duty: logged out", "our canary did not come back"}
	if err := step(); err != nil {
		t.Error(err)
	}
	want := []string{"GET /t0ken ", "POST /t0ken/fail no session is on duty: logged out\nour canary did not come back"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the monitor got %q, want %q", got, want)
	}
	p.URL = secret.New(srv.URL + "/refused/t0ken")
	if err := step(); err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("refused: %v, want an error without the address", err)
	}
	srv.Close()
	if err := step(); err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("gone: %v, want an error without the address", err)
	}
}

func TestPulseAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://hc-ping.com/5f0c": true, "http://127.0.0.1:8000/ping/x": true,
		"": false, "hc-ping.com/5f0c": false, "ftp://a/b": false, "https://a/b?x=t0ken": false, "://t0ken": false,
	} {
		err := (&watch.Pulse{URL: secret.New(address)}).Check()
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "t0ken") {
			t.Errorf("Check of %q = %v", address, err)
		}
	}
}

func TestPulseEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &watch.Pulse{URL: secret.New("http://127.0.0.1:1/"), Unwell: func(time.Time) []string { return nil }, Log: quiet}
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}
