package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// log answers with the log of one container.
func (st *store) log(w http.ResponseWriter, r *http.Request, namespace, pod string) {
	q := r.URL.Query()
	o, ok := st.find("pods", namespace, pod)
	if !ok {
		notFound(w, kind{plural: "pods"}, pod)
		return
	}
	container, err := pick(containersOf(o.json), q.Get("container"), pod)
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if q.Get("follow") == "true" {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "the sample cluster does not change: no follow")
		return
	}
	previous := q.Get("previous") == "true"
	if previous && !restarted(o.json, container) {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest,
			fmt.Sprintf("previous terminated container %q in pod %q not found", container, pod))
		return
	}
	text, err := st.readLog(namespace, pod, container, previous)
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(st.cut(text, q)) // the only error is that the client has gone
}

// pick returns the container whose log is meant.
func pick(names []string, want, pod string) (string, error) {
	switch {
	case want == "" && len(names) == 1:
		return names[0], nil
	case want == "":
		return "", fmt.Errorf("a container name must be specified for pod %s, choose one of: %v", pod, names)
	case !slices.Contains(names, want):
		return "", fmt.Errorf("container %s is not valid for pod %s", want, pod)
	}
	return want, nil
}

// readLog finds the file of the pod or else of its workload. A container that
// has none has an empty log.
func (st *store) readLog(namespace, pod, container string, previous bool) ([]byte, error) {
	suffix := container + ".log"
	if previous {
		suffix = container + ".previous.log"
	}
	for _, name := range []string{pod, st.owners[namespace+"/"+pod]} {
		text, err := fs.ReadFile(st.logs, namespace+"_"+name+"_"+suffix)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, nil
}

// restarted reports whether there was a container before this one.
func restarted(pod map[string]any, container string) bool {
	status, _ := pod["status"].(map[string]any)
	list, _ := status["containerStatuses"].([]any)
	for _, c := range list {
		m, _ := c.(map[string]any)
		n, _ := m["restartCount"].(float64)
		if m["name"] == container {
			return n > 0
		}
	}
	return false
}

// cut applies the options of a log request in the order that a kubelet does.
func (st *store) cut(text []byte, q url.Values) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if n := len(lines); n > 0 && len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	since := st.since(q)
	var out [][]byte
	for _, line := range lines {
		at, rest := st.stamp(line)
		if at.Before(since) {
			continue
		}
		if q.Get("timestamps") == "true" {
			rest = append([]byte(at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")+" "), rest...)
		}
		out = append(out, rest)
	}
	if n, err := strconv.Atoi(q.Get("tailLines")); err == nil && n >= 0 && n < len(out) {
		out = out[len(out)-n:]
	}
	all := bytes.Join(out, nil)
	if n, err := strconv.Atoi(q.Get("limitBytes")); err == nil && n > 0 && n < len(all) {
		all = all[:n]
	}
	return all
}

// since is the earliest time that the query asks for.
func (st *store) since(q url.Values) time.Time {
	if n, err := strconv.Atoi(q.Get("sinceSeconds")); err == nil {
		return st.now.Add(-time.Duration(n) * time.Second)
	}
	t, _ := time.Parse(time.RFC3339, q.Get("sinceTime"))
	return t
}

// stamp splits "12m3s text" into a time and the text. A line without an age
// is as old as a minute.
func (st *store) stamp(line []byte) (time.Time, []byte) {
	first, rest, ok := bytes.Cut(line, []byte(" "))
	if d, err := parseAgo(string(first)); ok && err == nil {
		return st.now.Add(-d), rest
	}
	return st.now.Add(-time.Minute), line
}

// containersOf lists the init containers and the containers of a pod document.
func containersOf(pod map[string]any) []string {
	var names []string
	spec, _ := pod["spec"].(map[string]any)
	for _, key := range []string{"containers", "initContainers"} {
		list, _ := spec[key].([]any)
		for _, c := range list {
			m, _ := c.(map[string]any)
			name, _ := m["name"].(string)
			names = append(names, name)
		}
	}
	return names
}

// parseAgo reads "9d", "12m" or "1h30m".
func parseAgo(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}
