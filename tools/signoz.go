package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/secret"
)

// A SigNozClient asks one SigNoz for logs, traces, metrics and alert rules. A
// nil SigNozClient is none: every call says that it is not configured. It is
// safe for concurrent use.
type SigNozClient struct {
	base     string
	key      secret.Value
	http     *http.Client
	clusters *Clusters
}

// NewSigNoz returns a client for the SigNoz at base, which has no slash at its
// end. Clusters, which may be nil, gives the other names under which a cluster
// may send its telemetry. It connects to nothing; an empty base gives nil.
func NewSigNoz(base string, key secret.Value, clusters *Clusters) *SigNozClient {
	if base == "" {
		return nil
	}
	return &SigNozClient{base: strings.TrimRight(base, "/"), key: key, http: outside(onlyAsks), clusters: clusters}
}

// asks matches what may be posted to SigNoz: questions.
var asks = regexp.MustCompile(`/api/(v5/query_range|v1/rules/[\w-]+/history/timeline)$`)

// onlyAsks is the permit of SigNoz.
func onlyAsks(r *http.Request) error {
	if r.Method == http.MethodGet || (r.Method == http.MethodPost && asks.MatchString(r.URL.Path)) {
		return nil
	}
	return fmt.Errorf("refused before it was sent: SigNoz is only asked, and %s %s does more", r.Method, r.URL.Path)
}

// SigNoz returns the tools that ask SigNoz: signoz_logs, signoz_traces,
// signoz_trace, signoz_metrics, signoz_alert_rules and signoz_alert_history.
// With a nil client they say that it is not configured; deliveries may be nil,
// then no event can be named.
func SigNoz(c *SigNozClient, d Deliveries) []server.ServerTool {
	return []server.ServerTool{
		signozLogs(c, d), signozTraces(c, d), signozTrace(c, d), signozMetrics(c, d), signozAlertRules(c), signozAlertHistory(c, d),
	}
}

// errNoSigNoz tells the session not to try again.
var errNoSigNoz = errors.New("SigNoz is not configured; the operator sets signoz.url and SIGNOZ_API_KEY. Go on with kube_logs and kube_problems and say so")

// An apiError is an answer with a status that is no success.
type apiError struct {
	status  int
	message string
}

// Error implements error.
func (e *apiError) Error() string { return e.message }

// get reads data from path, with a query.
func (c *SigNozClient) get(ctx context.Context, doing, path string, query url.Values, data any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, doing, http.MethodGet, path, nil, data)
}

// do sends one request and decodes the data of the answer. Its error is ready
// for the session; it is a notThereError if the path is not known.
func (c *SigNozClient) do(ctx context.Context, doing, method, path string, body, data any) error {
	if c == nil {
		return errNoSigNoz
	}
	err := c.send(ctx, method, path, body, data)
	if err == nil {
		return nil
	}
	status := 0
	if answer, ok := errors.AsType[*apiError](err); ok {
		status = answer.status
	}
	told := failure("SigNoz", doing, status,
		"the key needs the role Viewer or more; an ID may be wrong, or this SigNoz too old for the question", err)
	if status == http.StatusNotFound || errors.Is(err, errWebPage) { // an unknown path gives the page of the UI
		return notThereError{told}
	}
	return told
}

// A notThereError is what an older SigNoz answers to a newer path.
type notThereError struct{ error }

func notThere(err error) bool {
	var e notThereError
	return errors.As(err, &e)
}

func (c *SigNozClient) send(ctx context.Context, method, path string, body, data any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, &payload)
	if err != nil {
		return err
	}
	req.Header.Set("SIGNOZ-API-KEY", c.key.Reveal())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decodeAnswer(res, data)
}

// decodeAnswer reads {"status":"success","data":…} or {"status":"error",…}.
func decodeAnswer(res *http.Response, data any) error {
	var answer struct {
		Status string          `json:"status"`
		Data   json.RawMessage `json:"data"`
		Error  json.RawMessage `json:"error"`
	}
	err := json.NewDecoder(res.Body).Decode(&answer)
	var tooLong *http.MaxBytesError
	switch {
	case res.StatusCode >= 300:
		return &apiError{res.StatusCode, answerMessage(answer.Error)}
	case errors.As(err, &tooLong):
		return errors.New("the answer is larger than 16 MiB; ask for a shorter window or a smaller limit")
	case err != nil && !errors.Is(err, context.DeadlineExceeded) && !timedOut(err):
		return fmt.Errorf("the answer is not JSON: %w", err)
	case err != nil:
		return err
	case answer.Status == "error":
		return &apiError{http.StatusBadRequest, answerMessage(answer.Error)}
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return fmt.Errorf("the answer has an unexpected form: %w", err)
	}
	return nil
}

// answerMessage reads {code, message, errors: [{message}]}, or plain text.
func answerMessage(raw json.RawMessage) string {
	var e struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Message == "" {
		return orElse(strings.Trim(string(raw), `"`), "no reason given")
	}
	var s strings.Builder
	s.WriteString(e.Message)
	for _, more := range e.Errors {
		s.WriteString("; " + more.Message)
	}
	return s.String()
}

// A field is the name of a label or an attribute.
var field = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]{0,127}$`)

// A filter is a list of conditions that must all hold. It is only made by its
// methods, which quote every value.
type filter []string

// quoted writes a value of a filter expression.
func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(strings.ToValidUTF8(head(printable(s), 500), "")) + "'"
}

// is adds name = value, or one of the values; "" values are not given.
func (f filter) is(name string, values ...string) filter {
	var list []string
	for _, v := range values {
		if v != "" {
			list = append(list, quoted(v))
		}
	}
	switch len(list) {
	case 0:
		return f
	case 1:
		return append(f, name+" = "+list[0])
	}
	return append(f, name+" IN ("+strings.Join(list, ", ")+")")
}

// contains adds a search for a part of a text, ignoring case.
func (f filter) contains(name, part string) filter {
	if part == "" {
		return f
	}
	return append(f, name+" CONTAINS "+quoted(part))
}

// expression is the filter as SigNoz reads it.
func (f filter) expression() *expression {
	if len(f) == 0 {
		return nil
	}
	return &expression{strings.Join(f, " AND ")}
}

// about filters by service and cluster. "shop/cart" is cart in namespace shop.
func (c *SigNozClient) about(service, cluster string) filter {
	var f filter
	if ns, name, ok := strings.Cut(service, "/"); ok {
		f, service = f.is("k8s.namespace.name", ns), name
	}
	return f.is("service.name", service).is("k8s.cluster.name", c.clusterNames(cluster)...)
}

// clusterNames are the names under which a cluster may send telemetry.
func (c *SigNozClient) clusterNames(cluster string) []string {
	if cluster == "" || c == nil || c.clusters == nil {
		return []string{cluster}
	}
	found, err := c.clusters.Get(cluster)
	if err != nil {
		return []string{cluster}
	}
	names := append([]string{found.Name}, found.config.Aliases...)
	if found.config.Context != "" && found.config.Context != found.Name {
		names = append(names, found.config.Context)
	}
	return names
}

// checkFields refuses what is not the name of a label.
func checkFields(names ...string) error {
	var errs []error
	for _, n := range names {
		if !field.MatchString(n) {
			errs = append(errs, fmt.Errorf("%q is not the name of a label; it is written like service.name or k8s.pod.name", oneLine(n, 60)))
		}
	}
	return errors.Join(errs...)
}

// subjectOf fills in what the arguments leave to the delivery.
func (s *scope) subjectOf(service, cluster string) (string, string) {
	return orElse(service, s.service), orElse(cluster, s.cluster)
}

// nanos is a duration that SigNoz counts in nanoseconds, in words.
func nanos(n float64) string {
	d := time.Duration(n)
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return d.Truncate(100 * time.Millisecond).String()
}
