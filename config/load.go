package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"watchkeeper/runbook"
)

// DefaultFile is what [Load] reads if it is given no path.
const DefaultFile = "watchkeeper.yaml"

// maxFile bounds the file, so that a wrong path cannot fill the memory.
const maxFile = 1 << 20

// Load reads the file at path, fills in what it leaves out and takes the
// secrets from lookup, which is os.LookupEnv or a test's own. Path "" means
// [DefaultFile] in the current directory if there is one, else defaults; a
// file that was named must exist. The error joins all mistakes, each as
// "file:line: key.path: what is wrong; what is wanted", and never holds a
// secret; the Config is then zero. A secret that is not given is no mistake.
func Load(path string, lookup func(string) (string, bool)) (Config, error) {
	c := Default()
	data, err := readFile(&path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	d := &document{file: path, lines: map[string]int{}}
	d.read(data, &c)
	d.secrets(&c.Secrets, lookup)
	d.telemetry(&c.Telemetry, lookup)
	d.across(c)
	if err := d.err(); err != nil {
		return Config{}, err
	}
	c.complete()
	if path != "" {
		if c.Path, err = filepath.Abs(path); err != nil {
			return Config{}, fmt.Errorf("locate %s: %w", path, err)
		}
	}
	return c, nil
}

// readFile returns the bytes at *path, which it sets to "" or [DefaultFile] if
// it was "".
func readFile(path *string) ([]byte, error) {
	named := *path != ""
	if !named {
		*path = DefaultFile
	}
	f, err := os.Open(*path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		*path = ""
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", *path, maxFile)
	}
	return data, err
}

// complete fills in what depends on other values.
func (c *Config) complete() {
	for name, cl := range c.Clusters {
		if cl.Context == "" {
			cl.Context = name
		}
		if cl.Env == "" {
			cl.Env = runbook.EnvUnknown
		}
		c.Clusters[name] = cl
	}
	c.Telemetry.OTLPEndpoint = strings.TrimSuffix(strings.TrimRight(c.Telemetry.OTLPEndpoint, "/"), "/v1/traces")
	c.SigNoz.URL = strings.TrimRight(c.SigNoz.URL, "/")
	c.GitLab.URL = strings.TrimRight(c.GitLab.URL, "/")
	c.Slack.APIURL = strings.TrimRight(c.Slack.APIURL, "/") + "/"
}

// OTLPVariable is where OpenTelemetry's own programs look for the receiver.
const OTLPVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"

// telemetry takes the receiver from the environment if the file names none.
func (d *document) telemetry(t *Telemetry, lookup func(string) (string, bool)) {
	if t.OTLPEndpoint != "" || lookup == nil {
		return
	}
	v, _ := lookup(OTLPVariable)
	if rule := checkOf("url"); !rule.ok(v) {
		d.wrong(0, "", "%s: is wrong; want %s", OTLPVariable, rule.want)
		return
	}
	t.OTLPEndpoint = v
}
