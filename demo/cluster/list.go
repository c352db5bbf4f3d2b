package cluster

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// list answers with the objects that the query selects, in pages.
func (st *store) list(w http.ResponseWriter, r *http.Request, k kind, namespace string) {
	q := r.URL.Query()
	if q.Get("watch") == "true" || q.Get("watch") == "1" {
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "the sample cluster does not change: no watch")
		return
	}
	keep, err := selector(k, q.Get("labelSelector"), q.Get("fieldSelector"))
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	var found []object
	for _, o := range st.objects[k.plural] {
		if (namespace == "" || o.namespace == namespace) && keep(o) {
			found = append(found, o)
		}
	}
	from, err := offset(q.Get("continue"), len(found))
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	to := len(found)
	if limit, _ := strconv.Atoi(q.Get("limit")); limit > 0 {
		to = min(from+limit, to)
	}
	meta := map[string]any{"resourceVersion": "1000"}
	if left := len(found) - to; left > 0 {
		meta["continue"] = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
		meta["remainingItemCount"] = left
	}
	reply(w, map[string]any{"kind": k.kind + "List", "apiVersion": k.gv(), "metadata": meta, "items": documents(found[from:to])})
}

func documents(list []object) []map[string]any {
	docs := make([]map[string]any, len(list))
	for i, o := range list {
		docs[i] = o.json
	}
	return docs
}

// offset reads a continue token.
func offset(token string, n int) (int, error) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, fmt.Errorf("continue key is not valid: %w", err)
	}
	from, err := strconv.Atoi(string(text))
	if err != nil || from < 0 || from > n {
		return 0, fmt.Errorf("continue key is not valid: %q", text)
	}
	return from, nil
}

// selector reads both selectors of a list and returns what they keep.
func selector(k kind, label, field string) (func(object) bool, error) {
	ls, err := labels.Parse(label)
	if err != nil {
		return nil, fmt.Errorf("unable to parse requirement: %w", err)
	}
	fs, err := fields.ParseSelector(field)
	if err != nil {
		return nil, err
	}
	for _, req := range fs.Requirements() {
		if !slices.Contains(selectable(k), req.Field) {
			return nil, fmt.Errorf("field label not supported: %s", req.Field)
		}
	}
	return func(o object) bool {
		return ls.Matches(labels.Set(o.labels)) && fs.Matches(fieldsOf{o.json})
	}, nil
}

// selectable lists the fields that the real server can select by.
func selectable(k kind) []string {
	names := []string{"metadata.name", "metadata.namespace"}
	switch k.plural {
	case "pods":
		names = append(names, "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
			"status.phase", "status.podIP", "status.nominatedNodeName")
	case "events":
		names = append(names, "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
			"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
			"reason", "reportingComponent", "source", "type")
	case "nodes":
		names = append(names, "spec.unschedulable")
	case "jobs":
		names = append(names, "status.successful")
	case "namespaces":
		names = append(names, "status.phase")
	case "secrets":
		names = append(names, "type")
	}
	return names
}

// fieldsOf reads dotted paths in a document for a field selector.
type fieldsOf struct{ doc map[string]any }

// Has implements [fields.Fields]; a missing field reads as "".
func (fieldsOf) Has(string) bool { return true }

// Get implements [fields.Fields].
func (f fieldsOf) Get(field string) string {
	v := any(f.doc)
	for part := range strings.SplitSeq(field, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[part]
	}
	return fmt.Sprint(cmp.Or(v, any("")))
}
