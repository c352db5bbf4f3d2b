// Package webhook is how alerts come in: it reads what SigNoz, Alertmanager
// and Grafana POST, turns every alert into a [runbook.Alert] and answers 200
// once the memory has committed it.
//
// It decides nothing about an alert and pushes nothing. What it cannot read as
// one of the known formats it keeps as an unrecognised alert, because a sender
// repeats nothing after a 2xx and gives up after a 4xx: the only requests
// refused for good are those that are not JSON, not ours to read, or too big.
//
// Bodies are read with jsontext: it reports where a mistake is, takes invalid
// UTF-8 and duplicate keys without giving up, bounds nesting, and needs a
// fifth of the time of encoding/json (4 against 21 µs for three alerts).
package webhook

import (
	"context"
	"errors"

	"watchkeeper/runbook"
)

// Bounds on what one request may carry, and on what is kept of it. Sizes are
// in bytes.
const (
	MaxBody   = 10 << 20 // also of the inflated body
	MaxAlerts = 10_000   // in one body

	maxName       = 512      // a name of an alert, service, cluster, namespace or severity
	maxText       = 4 << 10  // a label value, URL or group key
	maxAnnotation = 16 << 10 // an annotation
	maxRaw        = 16 << 10 // the body of an unrecognised alert
	maxEntries    = 256      // labels, and annotations, of one alert
	maxSource     = 40
)

// Formats of a body, as in [runbook.Batch]. The format's name is also the
// source where the path names none.
const (
	formatAlertmanager = "alertmanager"
	formatSigNoz       = "signoz"
	formatGrafana      = "grafana"
	formatUnrecognised = "unrecognised"
)

// ErrTooLarge means that a body is over [MaxBody], or holds more than
// [MaxAlerts] alerts.
var ErrTooLarge = errors.New("too large")

// A Store keeps batches. Put returns nil only after the batch is committed
// durably, and stores all of it or nothing. It is called concurrently.
type Store interface {
	Put(ctx context.Context, b runbook.Batch) (runbook.Receipt, error)
}

// A Pinger says whether alerts could be stored now.
type Pinger interface {
	Ping(ctx context.Context) error
}
