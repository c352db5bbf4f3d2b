package intake_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkDurablePOST measures POSTs of three alerts each over 16 connections;
// each is on the disk before its 200.
func BenchmarkDurablePOST(b *testing.B) {
	p := newPlace(b)
	c := start(b, p)
	c.hello()
	requests := prepared(b.N, 3)
	var failed atomic.Int64
	b.ResetTimer()
	share(b, p.addr, b.N, func(s *sender, i int) {
		if err := s.post(requests[i]); err != nil {
			failed.Add(1)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "POST/s")
	b.ReportMetric(float64(failed.Load()), "lost")
}

// share does what do says for each number below n, over 16 connections.
func share(b *testing.B, addr string, n int, do func(s *sender, i int)) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			s, err := dial(addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer s.conn.Close()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(s, i)
			}
		})
	}
	all.Wait()
}

func prepared(n, alerts int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = request(body(fmt.Sprintf("p%d", i), alerts))
	}
	return out
}

// BenchmarkPacedPOST measures the latency at 1,000 POSTs a second.
func BenchmarkPacedPOST(b *testing.B) {
	p := newPlace(b)
	c := start(b, p)
	c.hello()
	n := max(b.N, 1000)
	requests := prepared(n, 3)
	took := make([]time.Duration, n)
	var failed atomic.Int64
	began := time.Now()
	b.ResetTimer()
	share(b, p.addr, n, func(s *sender, i int) {
		due := began.Add(time.Duration(i) * time.Millisecond)
		time.Sleep(time.Until(due)) // the pace is what is asked for
		if err := s.post(requests[i]); err != nil {
			failed.Add(1)
		}
		took[i] = time.Since(due) // from when it was due: a queue in front counts
	})
	slices.Sort(took)
	b.ReportMetric(float64(quantile(took, 0.5).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(quantile(took, 0.99).Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(failed.Load()), "lost")
}

// BenchmarkLoneAlert measures from the POST to the last byte of the
// notification on stdout.
func BenchmarkLoneAlert(b *testing.B) {
	p := newPlace(b)
	c := start(b, p)
	c.hello()
	s, err := dial(p.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer s.conn.Close()
	n := min(max(b.N, 20), 500)
	took := make([]time.Duration, n)
	for i := range took {
		// A name of its own: the same one again within 500 ms is gathered.
		text := strings.ReplaceAll(body(fmt.Sprintf("lone%d", i), 1), "KubePodCrashLooping", fmt.Sprintf("Lone%d", i))
		req := request(text)
		time.Sleep(20 * time.Millisecond) // the pump must be idle again
		began := time.Now()
		if err := s.post(req); err != nil {
			b.Fatal(err)
		}
		for {
			m := c.next("push")
			if strings.HasPrefix(m.Params.Meta["alert"], "Lone") || m.Params.Meta["event"] == "storm" {
				took[i] = m.at.Sub(began)
				break
			}
		}
		if i%15 == 14 { // above 20 pending events they become a digest
			c.stop()
			p = newPlace(b)
			c = start(b, p)
			c.hello()
			s.conn.Close()
			if s, err = dial(p.addr); err != nil {
				b.Fatal(err)
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(quantile(took, 0.5).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(quantile(took, 0.99).Microseconds())/1000, "p99-ms")
}

// BenchmarkStart measures from the start of the process to its answer to
// initialize, on a memory that exists.
func BenchmarkStart(b *testing.B) {
	p := newPlace(b)
	start(b, p).stop()
	for b.Loop() {
		c := launch(b, p)
		c.hello()
		b.StopTimer()
		c.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms")
}
