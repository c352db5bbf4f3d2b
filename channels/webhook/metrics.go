package webhook

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Gauge is a number of the process that the intake shows at /metrics. Value
// is called at every scrape, concurrently; NaN means unknown.
type Gauge struct {
	Name  string // as Prometheus shows it, with the unit: watchkeeper_deliveries_pending
	Help  string
	Value func(ctx context.Context) float64
}

// Outcomes of a request.
const (
	outcomeStored   = "stored"
	outcomeRejected = "rejected" // the sender's mistake
	outcomeDenied   = "denied"
	outcomeFailed   = "failed" // ours
)

// maxSources bounds the label: the path's name is the sender's choice.
const maxSources = 50

type metrics struct {
	page     http.Handler
	requests *prometheus.CounterVec // source, outcome, code
	alerts   *prometheus.CounterVec // source, outcome
	duration prometheus.Histogram

	mu      sync.Mutex
	sources map[string]bool
}

func newMetrics(gauges []Gauge) *metrics {
	m := &metrics{
		sources: map[string]bool{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watchkeeper_webhook_requests_total",
			Help: "Requests that brought alerts, by sender and by what became of them.",
		}, []string{"source", "outcome", "code"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "watchkeeper_webhook_alerts_total",
			Help: "Alerts stored (accepted) and repeated (duplicate), by sender.",
		}, []string{"source", "outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "watchkeeper_webhook_request_duration_seconds",
			Help:    "Time from the headers of a request to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.alerts, m.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, g := range gauges {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.Name, Help: g.Help}, g.read))
	}
	m.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

// read asks for the value; a scrape must not hang on a busy database.
func (g Gauge) read() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return g.Value(ctx)
}

// observe counts one request.
func (m *metrics) observe(source string, a answer, took time.Duration) {
	source = m.bounded(source)
	m.requests.WithLabelValues(source, a.outcome(), strconv.Itoa(a.code)).Inc()
	m.duration.Observe(took.Seconds())
	if a.code == http.StatusOK {
		m.alerts.WithLabelValues(source, "accepted").Add(float64(a.receipt.Accepted))
		m.alerts.WithLabelValues(source, "duplicate").Add(float64(a.receipt.Duplicates))
	}
}

func (m *metrics) bounded(source string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case source == "" || m.sources[source]:
	case len(m.sources) == maxSources:
		return "other"
	default:
		m.sources[source] = true
	}
	return source
}
