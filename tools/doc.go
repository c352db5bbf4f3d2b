// Package tools is what the session may look at and do: Kubernetes, Argo,
// GitLab, SigNoz and the incident memory, as MCP tools. One file per subject.
//
// Three rules hold for all of them and are enforced here, below the handlers.
// A cluster is reached only through a [Clusters] entry that the operator
// configured, with an HTTP transport that lets through only what the tool is
// for. Whatever comes from outside is cleaned, redacted and quoted as data
// before the session reads it. And the output is bounded, worst things first,
// with a word on what was cut and which call shows it.
//
// There is no shell, no kubectl and no exec, and no tool returns the contents
// of a Secret. What a tool finds is also there as Go values (see
// [Cluster.Problems]), for the triage that works without a model.
package tools
