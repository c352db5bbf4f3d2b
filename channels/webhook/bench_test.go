package webhook_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"watchkeeper/channels/webhook"
)

// three is a body of three alerts, as the load test sends it.
const three = "alertmanager/new-mixed-001"

func BenchmarkDecode(b *testing.B) {
	body, n := onePayload(b, three), plain()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := webhook.Decode(body, "alertmanager", "Alertmanager/0.34.2", received, n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	body, h := onePayload(b, three), newHandler(nobody{}, nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/webhook/alertmanager", bytes.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// BenchmarkServer posts over 16 connections; the client is in the same process
// and takes more than half of the time.
func BenchmarkServer(b *testing.B) {
	body := onePayload(b, three)
	srv := httptest.NewServer(newHandler(nobody{}, nil))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Post(srv.URL+"/webhook", "application/json", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			resp.Body.Close()
		}
	})
}
