package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"
)

// A file is cluster.yaml: workloads in a short form, and any other object
// written out. Ages ("9d", "12m") count back from now; in written-out objects
// a time is an age with a minus sign ("-12m").
type file struct {
	Nodes     []node           `yaml:"nodes"`
	Workloads []workload       `yaml:"workloads"`
	Objects   []map[string]any `yaml:"objects"`
}

// A node is ready unless Reason says what ails it ("KubeletNotReady").
type node struct {
	Name    string `yaml:"name"`
	Since   ago    `yaml:"since"`
	Reason  string `yaml:"reason"`
	Message string `yaml:"message"`
}

// A workload becomes its controller, the ReplicaSets of a Deployment, and its
// pods.
type workload struct {
	Kind      string  `yaml:"kind"` // Deployment (default), StatefulSet, DaemonSet, Job
	Namespace string  `yaml:"namespace"`
	Name      string  `yaml:"name"`
	Image     string  `yaml:"image"`
	Since     ago     `yaml:"since"`  // when this image was rolled out
	Before    *before `yaml:"before"` // the image that ran earlier
	Replicas  int     `yaml:"replicas"`
	Env       []env   `yaml:"env"`
	Stalled   bool    `yaml:"stalled"` // the rollout passed its deadline
	Failed    bool    `yaml:"failed"`  // of a Job: it gave up
	Pods      []pod   `yaml:"pods"`    // those that are not simply ready, in order
	Events    []event `yaml:"events"`
}

type before struct {
	Image string `yaml:"image"`
	Since ago    `yaml:"since"`
	Ready int    `yaml:"ready"` // pods that still run it
}

type env struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

// A pod is ready and as old as its workload's rollout unless it says otherwise.
type pod struct {
	State    string  `yaml:"state"` // see states
	Restarts int     `yaml:"restarts"`
	Since    ago     `yaml:"since"`   // when it was created
	Last     ago     `yaml:"last"`    // when its last termination ended
	Changed  ago     `yaml:"changed"` // when its readiness changed, if nothing ended
	Exit     int     `yaml:"exit"`    // of the last termination
	Reason   string  `yaml:"reason"`  // of the last termination or of the state
	Message  string  `yaml:"message"`
	Node     string  `yaml:"node"`
	Events   []event `yaml:"events"`
}

type event struct {
	Type    string `yaml:"type"` // Warning (default) or Normal
	Reason  string `yaml:"reason"`
	Message string `yaml:"message"`
	Count   int    `yaml:"count"`
	First   ago    `yaml:"first"`
	Last    ago    `yaml:"last"`
}

// An ago is a duration that may be written in days.
type ago time.Duration

// UnmarshalYAML implements [yaml.Unmarshaler].
func (a *ago) UnmarshalYAML(n *yaml.Node) error {
	d, err := parseAgo(n.Value)
	*a = ago(d)
	return err
}

// fill reads text into the store.
func (st *store) fill(text []byte) error {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return fmt.Errorf("read cluster.yaml: %w", err)
	}
	for _, n := range f.Nodes {
		st.addTyped(n.object(st.now))
	}
	namespaces := map[string]bool{}
	for i, w := range f.Workloads {
		namespaces[w.Namespace] = true
		if err := st.addWorkload(w, f.Nodes); err != nil {
			return fmt.Errorf("workload %d %s: %w", i, w.Name, err)
		}
	}
	for i, o := range f.Objects {
		if err := st.add(st.absolute(o).(map[string]any)); err != nil {
			return fmt.Errorf("object %d: %w", i, err)
		}
	}
	for ns := range namespaces {
		st.addTyped(namespace(ns, st.now))
	}
	return nil
}

// add stores a document under its kind.
func (st *store) add(doc map[string]any) error {
	// Through JSON and back: maps and numbers as a client would see them.
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	var o struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name, Namespace string
			Labels          map[string]string
		} `json:"metadata"`
	}
	doc = map[string]any{}
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	for _, k := range kinds() {
		if k.kind == o.Kind && k.gv() == o.APIVersion {
			st.objects[k.plural] = append(st.objects[k.plural],
				object{namespace: o.Metadata.Namespace, name: o.Metadata.Name, labels: o.Metadata.Labels, json: doc})
			return nil
		}
	}
	return fmt.Errorf("unknown kind %s %s", o.APIVersion, o.Kind)
}

// addTyped stores a typed object, which always has a kind that add knows.
func (st *store) addTyped(v any) {
	text, err := json.Marshal(v)
	if err == nil {
		doc := map[string]any{}
		if err = json.Unmarshal(text, &doc); err == nil {
			err = st.add(doc)
		}
	}
	if err != nil {
		panic(err) // a kind that this package builds but does not list
	}
}

var age = regexp.MustCompile(`^-(\d+d|(\d+[hms])+)$`)

// absolute replaces ages in a written-out object by times.
func (st *store) absolute(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = st.absolute(item)
		}
	case []any:
		for i, item := range v {
			v[i] = st.absolute(item)
		}
	case string:
		if age.MatchString(v) {
			d, err := parseAgo(v[1:])
			if err == nil {
				return st.now.Add(-d).UTC().Format(time.RFC3339)
			}
		}
	}
	return v
}
