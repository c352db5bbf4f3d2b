package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"watchkeeper/runbook"
)

// Decode reads one request body. The format is recognised from the body, with
// userAgent as a hint; source names the sender, "" means the name of the
// format. JSON of no known format becomes one unrecognised alert. The error
// says what is wrong and where, and matches [ErrTooLarge] for more than
// [MaxAlerts] alerts. Decode keeps no reference to body.
func Decode(body []byte, source, userAgent string, receivedAt time.Time, n *Normalizer) (runbook.Batch, error) {
	receivedAt = receivedAt.UTC()
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) // a byte order mark is not JSON, but some write it
	env, err := parse(body)
	if err != nil {
		return runbook.Batch{}, err
	}
	b := runbook.Batch{Source: source, Format: env.format(userAgent), ReceivedAt: receivedAt}
	if b.Source == "" {
		b.Source = b.Format
	}
	if b.Format == formatUnrecognised {
		b.Alerts = []runbook.Alert{unrecognised(body, b.Source, receivedAt, n)}
		return b, nil
	}
	if env.misshapen != nil {
		return runbook.Batch{}, env.misshapen
	}
	b.GroupKey, b.Truncated = env.groupKey, env.truncated
	b.Alerts = make([]runbook.Alert, len(env.alerts))
	for i := range env.alerts {
		b.Alerts[i] = n.alert(&env.alerts[i], env, b.Source, receivedAt)
	}
	return b, nil
}

// An envelope is what Alertmanager and its relatives wrap alerts in, as far as
// it was there.
type envelope struct {
	version, status, groupKey string
	truncated                 int
	alerts                    []rawAlert
	hasAlerts                 bool  // the key is there and not null
	marks                     int   // keys that only an envelope has
	alertLike                 int   // alerts with a key that only alerts have
	grafana                   bool  // a key that only Grafana writes
	misshapen                 error // the first value of a wrong type
}

// A rawAlert is one alert as sent.
type rawAlert struct {
	status, startsAt, endsAt  string
	fingerprint, generatorURL string
	labels, annotations       map[string]string
}

// format tells what the body is. A body with an alerts key and nothing else in
// common with an envelope may be anybody's, so it is unrecognised.
func (e *envelope) format(userAgent string) string {
	known := e.marks >= 2 || e.version == "4" || e.version == "3" || e.version == "1" ||
		(e.misshapen == nil && e.alertLike == len(e.alerts))
	switch {
	case !e.hasAlerts || !known:
		return formatUnrecognised
	case e.grafana || e.version == "1":
		return formatGrafana
	case userAgent == "Alertmanager/" || e.fromSigNoz():
		return formatSigNoz
	}
	return formatAlertmanager
}

func (e *envelope) fromSigNoz() bool {
	for i := range e.alerts {
		l := e.alerts[i].labels
		if l["ruleSource"] != "" || (l["ruleId"] != "" && l["threshold.name"] != "") {
			return true
		}
	}
	return false
}

// A parser reads one body in one pass. A wrong type is noted and read over:
// whether it is a mistake depends on what the rest of the body turns out to
// be.
type parser struct {
	dec  *jsontext.Decoder
	body []byte
	env  envelope
}

// parse reads a whole body. It fails for what is not one JSON value, and for
// too many alerts.
func parse(body []byte) (*envelope, error) {
	p := &parser{dec: newDecoder(body), body: body}
	err := p.document()
	var syntax *jsontext.SyntacticError
	switch {
	case err == nil:
		return &p.env, nil
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case len(bytes.TrimSpace(body)) == 0:
		return nil, errors.New("the body is empty, want JSON")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("the body is not JSON: it ends too early, at %s", p.at(int64(len(body))))
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("the body is not JSON: %w at %s", syntax.Err, p.at(syntax.ByteOffset))
	}
	return nil, fmt.Errorf("read the body: %w", err)
}

func newDecoder(body []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// at says where offset is, for people and for editors.
func (p *parser) at(offset int64) string {
	before := p.body[:min(int(offset), len(p.body))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d (offset %d)", line, column, offset)
}

func (p *parser) document() error {
	if p.dec.PeekKind() != '{' {
		if err := p.dec.SkipValue(); err != nil {
			return err
		}
	} else if err := p.object(p.field); err != nil {
		return err
	}
	switch _, err := p.dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return &jsontext.SyntacticError{ByteOffset: p.dec.InputOffset() - 1, Err: errors.New("more data after the JSON value")}
}

// object reads an object and hands every key to field, which reads the value.
func (p *parser) object(field func(key string) error) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() != '}' {
		key, err := p.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := field(key.String()); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

// field reads one value of the envelope.
func (p *parser) field(key string) error {
	e := &p.env
	switch key {
	case "alerts":
		return p.alerts()
	case "status":
		return p.scalar(&e.status)
	case "version":
		e.marks++
		return p.scalar(&e.version)
	case "groupKey":
		e.marks++
		return p.scalar(&e.groupKey)
	case "truncatedAlerts":
		e.marks++
		var n string
		err := p.scalar(&n)
		e.truncated = count(n)
		return err
	case "receiver", "groupLabels", "commonLabels", "commonAnnotations", "externalURL":
		e.marks++
	case "orgId":
		e.grafana = true
	}
	return p.dec.SkipValue()
}

// count reads a number of alerts; what is none is 0.
func count(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// alerts reads the list. A second one, which JSON allows, adds to the first.
func (p *parser) alerts() error {
	switch p.dec.PeekKind() {
	case 'n':
		return p.dec.SkipValue()
	case '[':
	default:
		p.env.hasAlerts = true
		return p.wrong("alerts", "an array")
	}
	p.env.hasAlerts = true
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; p.dec.PeekKind() != ']'; i++ {
		if i == MaxAlerts { // whatever they are: reading millions of wrong ones is work too
			return fmt.Errorf("%w: more than %d alerts in one body; set max_alerts at the sender", ErrTooLarge, MaxAlerts)
		}
		if err := p.alert(i); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

func (p *parser) alert(i int) error {
	if p.dec.PeekKind() != '{' {
		return p.wrong(fmt.Sprintf("alerts[%d]", i), "an object")
	}
	var a rawAlert
	like := false
	err := p.object(func(key string) error {
		switch key {
		case "status":
			return p.scalar(&a.status)
		case "labels":
			like = true
			return p.texts(&a.labels, i, key, maxText)
		case "annotations":
			like = true
			return p.texts(&a.annotations, i, key, maxAnnotation)
		case "startsAt":
			like = true
			return p.scalar(&a.startsAt)
		case "endsAt":
			return p.scalar(&a.endsAt)
		case "generatorURL":
			return p.scalar(&a.generatorURL)
		case "fingerprint":
			return p.scalar(&a.fingerprint)
		case "ruleUID", "silenceURL", "valueString":
			p.env.grafana = true
		}
		return p.dec.SkipValue()
	})
	if like {
		p.env.alertLike++
	}
	p.env.alerts = append(p.env.alerts, a)
	return err
}

// texts reads an object of strings into m. What is not a string is kept as the
// text it was written as.
func (p *parser) texts(m *map[string]string, i int, name string, limit int) error {
	switch p.dec.PeekKind() {
	case 'n':
		return p.dec.SkipValue()
	case '{':
	default:
		return p.wrong(fmt.Sprintf("alerts[%d].%s", i, name), "an object")
	}
	if *m == nil {
		*m = make(map[string]string, 12)
	}
	return p.object(func(key string) error {
		key = clean(key, maxText)
		if _, again := (*m)[key]; !again && len(*m) == maxEntries {
			return p.dec.SkipValue()
		}
		var value string
		err := p.text(&value, limit)
		(*m)[key] = value
		return err
	})
}

func (p *parser) scalar(s *string) error { return p.text(s, maxText) }

// text reads any value as text: a string as what it says, null as "", the rest
// as it is written.
func (p *parser) text(s *string, limit int) error {
	switch p.dec.PeekKind() {
	case '{', '[':
		raw, err := p.dec.ReadValue()
		*s = clean(string(raw[:min(len(raw), limit)]), limit)
		return err
	case 'n':
		*s = ""
		return p.dec.SkipValue()
	}
	token, err := p.dec.ReadToken()
	if err == nil {
		*s = clean(token.String(), limit)
	}
	return err
}

// wrong notes that the value at path, which it reads over, should be a want.
func (p *parser) wrong(path, want string) error {
	got := kindName(p.dec.PeekKind())
	raw, err := p.dec.ReadValue()
	if err == nil && p.env.misshapen == nil {
		where := p.at(p.dec.InputOffset() - int64(len(raw)))
		p.env.misshapen = fmt.Errorf("%s: want %s, got %s at %s", path, want, got, where)
	}
	return err
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	}
	return "a boolean"
}
