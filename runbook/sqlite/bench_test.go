package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // fills a memory faster than the Store would

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// BenchmarkPut stores batches of three alerts from 16 goroutines.
func BenchmarkPut(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "memory.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Put(b.Context(), three(n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
}

func three(n int64) runbook.Batch {
	now := time.Now()
	batch := runbook.Batch{ReceivedAt: now, Alerts: make([]runbook.Alert, 3)}
	for k := range batch.Alerts {
		batch.Alerts[k] = runbook.Alert{
			Source: "alertmanager", Fingerprint: fmt.Sprintf("%d-%d", n, k), StartsAt: now,
			Status: runbook.Firing, Name: "KubePodCrashLooping", Severity: runbook.Critical, Service: "cart", Cluster: "prod",
			Env: runbook.Prod, Labels: map[string]string{"pod": "cart-7d9f-x2k4p", "container": "cart"},
		}
	}
	return batch
}

// full returns a memory with a million occurrences of the last 400 days: 400
// alerts on 250 services and 5 clusters, most of them noise.
func full(b *testing.B) *sqlite.Store {
	b.Helper()
	path := filepath.Join(b.TempDir(), "memory.db")
	s, err := sqlite.Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	db, err := sql.Open("sqlite3", "file:"+path+"?_synchronous=off&_journal_mode=wal&_busy_timeout=5000")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(b.Context(), `
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999),
		o(i, at, alert, service, noise) AS (
			SELECT i, ?1 - i * 34560, 'Alert ' || (i % 400), 'service-' || (i % 250), i % 7 <> 0 FROM n)
		INSERT INTO occurrences (source, fingerprint, starts_at, ends_at, status, alert, service, family, cluster, namespace,
		  env, severity, severity_raw, received_at, delivery_id, verdict, escalated, decided_at)
		SELECT 'alertmanager', i, at * 1000000, (at + 240000) * 1000000, 'resolved', alert, service, 'service-*',
		  'cluster-' || (i % 5), 'ns', 'prod', 'warning', 'warning', at, i + 1,
		  CASE WHEN noise THEN 'noise' ELSE 'real' END, NOT noise, at + 60000 FROM o`, time.Now().UnixMilli())
	if err != nil {
		b.Fatal(err)
	}
	_, err = db.ExecContext(b.Context(), `
		INSERT INTO incidents (delivery_id, verdict, escalated, summary, decided_by, decided_at, alert, service, cluster, namespace, env, severity, started_at, alerts)
		SELECT delivery_id, verdict, escalated, 'as before', 'session', decided_at, alert, service, cluster, namespace, env, severity, starts_at / 1000000, 1 FROM occurrences`)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkMillion asks a memory with a million occurrences for what every
// event and every session begins with.
func BenchmarkMillion(b *testing.B) {
	s := full(b)
	now := time.Now()
	b.Run("History", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			h, err := s.History(b.Context(), fmt.Sprintf("Alert %d", i%400), fmt.Sprintf("service-%d", i%250), fmt.Sprintf("cluster-%d", i%5), now, 0)
			if err != nil || len(h.Recent) == 0 {
				b.Fatalf("history = %+v, %v; want some", h, err)
			}
		}
	})
	b.Run("Briefing", func(b *testing.B) {
		for b.Loop() {
			page, err := s.Briefing(b.Context(), now, 7)
			if err != nil || page.Total == 0 {
				b.Fatalf("briefing = %+v, %v; want some", page, err)
			}
		}
	})
	b.Run("NoisePatterns", func(b *testing.B) {
		for b.Loop() {
			ps, err := s.NoisePatterns(b.Context(), now, 7)
			if err != nil || len(ps) == 0 {
				b.Fatalf("%d patterns, %v; want some", len(ps), err)
			}
		}
	})
}
