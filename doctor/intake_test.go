package doctor_test

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/webhook"
	"watchkeeper/config"
	"watchkeeper/doctor"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/secret"
)

// The real intake says whether the doctor proves itself as a sender must.
func TestIntakeTakesWhatTheDoctorSends(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tests := []struct {
		name           string
		intake, doctor webhook.Config
		level          doctor.Level
		detail         string
	}{
		{"without a token", webhook.Config{}, webhook.Config{}, doctor.OK, "takes a POST"},
		{"with the token", webhook.Config{Token: secret.New("t")}, webhook.Config{Token: secret.New("t")}, doctor.OK, "takes a POST"},
		{"with another token", webhook.Config{Token: secret.New("t")}, webhook.Config{Token: secret.New("u")}, doctor.Wrong, "refuses the token"},
		{"signed", webhook.Config{HMAC: secret.New("k"), HMACHeader: "X-Sign"}, webhook.Config{HMAC: secret.New("k"), HMACHeader: "X-Sign"}, doctor.OK, "takes a POST"},
		{
			"signed with the time",
			webhook.Config{HMAC: secret.New("k"), HMACHeader: "X-Sign", HMACTimestamp: "X-Time"},
			webhook.Config{HMAC: secret.New("k"), HMACHeader: "X-Sign", HMACTimestamp: "X-Time"},
			doctor.OK, "takes a POST",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.intake
			c.Store, c.Log = s, slog.New(slog.DiscardHandler)
			c.Normalizer = webhook.NewNormalizer(config.Webhook{}, nil)
			srv := httptest.NewServer(webhook.New(c))
			defer srv.Close()
			in := doctor.Intake{
				Listen: strings.TrimPrefix(srv.URL, "http://"), Holder: "watchkeeper", Token: tt.doctor.Token, HMAC: tt.doctor.HMAC,
				HMACHeader: tt.doctor.HMACHeader, HMACTimestamp: tt.doctor.HMACTimestamp,
			}
			check(t, in.Examine(t.Context()), "port", tt.level, tt.detail)
		})
	}
	if open, err := s.Open(t.Context()); err != nil || len(open) > 0 {
		t.Errorf("the doctor left the events %+v, %v; want none", open, err)
	}
}

func TestIntakePort(t *testing.T) {
	srv := httptest.NewServer(nil)
	defer srv.Close()
	taken := strings.TrimPrefix(srv.URL, "http://")
	check(t, doctor.Intake{Listen: taken}.Examine(t.Context()), "port", doctor.Wrong, "taken by another program")
	check(t, doctor.Intake{Listen: taken, Holder: "watchkeeper"}.Examine(t.Context()), "port", doctor.Wrong, "404")
	free := unused(t)
	check(t, doctor.Intake{Listen: free}.Examine(t.Context()), "port", doctor.OK, "is free")
	check(t, doctor.Intake{Listen: free, Holder: "watchkeeper"}.Examine(t.Context()), "port", doctor.Wrong, "does not answer")
}

func TestSenders(t *testing.T) {
	now := time.Now()
	in := doctor.Intake{
		Listen:  unused(t),
		Silence: map[string]time.Duration{"sender signoz": time.Hour, "sender grafana": time.Hour, "heartbeat prod": time.Hour},
		LastHeard: map[string]time.Time{
			"sender signoz": now.Add(-5 * time.Minute), "heartbeat prod": now.Add(-3 * time.Hour), "sender extra": now.Add(-90 * time.Hour),
		},
	}
	found := in.Examine(t.Context())
	check(t, found, "sender signoz", doctor.OK, " min ago")
	check(t, found, "sender grafana", doctor.Wrong, "never heard")
	check(t, found, "heartbeat prod", doctor.Wrong, "allows 60 min")
	check(t, found, "sender extra", doctor.OK, "days ago")
	check(t, doctor.Intake{Listen: in.Listen}.Examine(t.Context()), "senders", doctor.Advice, "no alert has ever come")
}
