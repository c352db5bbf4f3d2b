package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// A Clock compares the time of this machine with that of the services.
type Clock struct{ URLs []string }

// How far our clock may be off. Alerts carry the time of their senders, tokens
// expire, and a signed webhook holds for five minutes.
const (
	skewAdvice = 5 * time.Second
	skewWrong  = time.Minute
)

// Examine takes the first service that tells the time.
func (c Clock) Examine(ctx context.Context) []Finding {
	const what, fix = "clock", "timedatectl set-ntp true, and see that a time service runs (systemd-timesyncd or chrony)"
	for _, address := range c.URLs {
		skew, err := skewTo(ctx, address)
		if err != nil {
			continue
		}
		detail := fmt.Sprintf("%s off that of %s", skew.Abs().Round(time.Second), address)
		switch {
		case skew.Abs() > skewWrong:
			return []Finding{machine.wrong(what, detail, fix)}
		case skew.Abs() > skewAdvice:
			return []Finding{machine.advice(what, detail, fix)}
		}
		return []Finding{machine.ok(what, "%s", detail)}
	}
	return []Finding{machine.advice(what, "no service told the time", "nothing, if the services below are mended; it is compared with theirs")}
}

// skewTo returns by how much our clock is ahead of that of address. The header
// Date has whole seconds, which are over by half a second on average.
func skewTo(ctx context.Context, address string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	sent := time.Now()
	res, err := client().Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	ours := sent.Add(time.Since(sent) / 2)
	theirs, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	return ours.Sub(theirs.Add(time.Second / 2)), nil
}
