package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"watchkeeper/channels/webhook"
	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// An Intake is where alerts come in.
type Intake struct {
	Listen        string
	Holder        string // who hosts it, "" if nobody does
	Token, HMAC   secret.Value
	HMACHeader    string
	HMACTimestamp string

	// What is heard, by the words for it: "sender signoz", "heartbeat
	// platform-prod".
	Silence   map[string]time.Duration // the longest that is expected
	LastHeard map[string]time.Time
}

const intake = place("intake")

// Examine sends the intake a body without alerts, as a sender would, or looks
// whether it could listen; and says when each sender was heard last.
func (i Intake) Examine(ctx context.Context) []Finding {
	return append([]Finding{i.port(ctx)}, i.senders(time.Now())...)
}

func (i Intake) port(ctx context.Context) Finding {
	const what = "port"
	if i.Holder != "" {
		return i.post(ctx)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", i.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return intake.wrong(what, i.Listen+" is taken by another program, and not by ours", "see which (ss -ltnp), and stop it or change listen")
	case err != nil:
		return intake.wrong(what, err.Error(), "set listen to an address of this machine")
	}
	ln.Close() //nolint:errcheck // nobody used it
	return intake.ok(what, "%s is free; nobody is on duty now", i.Listen)
}

// empty is a body that stores nothing.
const empty = `{"version":"4","alerts":[]}`

func (i Intake) post(ctx context.Context) Finding {
	const what = "port"
	where := webhook.Reachable(i.Listen)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+where+"/webhook/doctor", strings.NewReader(empty))
	if err != nil {
		return intake.wrong(what, err.Error(), "set listen to host:port")
	}
	webhook.Proof{Token: i.Token, HMAC: i.HMAC, Header: i.HMACHeader, Timestamp: i.HMACTimestamp}.Put(req, empty, time.Now())
	a, err := send(req)
	switch {
	case err != nil:
		return intake.wrong(what, fmt.Sprintf("%s hosts it and does not answer on %s: %v", i.Holder, where, err), "watchkeeper status; systemctl restart watchkeeper")
	case a.status == http.StatusUnauthorized:
		return intake.wrong(what, "it refuses the token that is configured here", "run doctor with the environment of the service; after a change of the token: systemctl restart watchkeeper")
	case a.status != http.StatusOK:
		return intake.wrong(what, a.unexpected()+" to a POST", "journalctl -u watchkeeper says why")
	}
	return intake.ok(what, "%s takes a POST on %s", i.Holder, where)
}

func (i Intake) senders(now time.Time) (found []Finding) {
	names := map[string]bool{}
	for name := range i.Silence {
		names[name] = true
	}
	for name := range i.LastHeard {
		names[name] = true
	}
	if len(names) == 0 {
		return []Finding{intake.advice("senders", "no alert has ever come", "point a sender at it (deploy/alertmanager, deploy/signoz) and press its test button")}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		found = append(found, i.sender(name, now))
	}
	return found
}

func (i Intake) sender(what string, now time.Time) Finding {
	const fix = "press the sender's test button; if nothing comes: its URL, the firewall, the token (deploy/)"
	last, heard := i.LastHeard[what]
	most, expected := i.Silence[what]
	switch age := now.Sub(last); {
	case !heard:
		return intake.wrong(what, "it was never heard, and the configuration expects it", fix)
	case expected && age > most:
		return intake.wrong(what, fmt.Sprintf("last heard %s ago; the configuration allows %s", runbook.Short(age), runbook.Short(most)), fix)
	default:
		return intake.ok(what, "last heard %s ago", runbook.Short(age))
	}
}
