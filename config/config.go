// Package config reads watchkeeper.yaml and the secrets that go with it.
//
// The file is strict: an unknown key or a wrong value is an error that names
// the file and the line, and all mistakes are reported at once. Everything has
// a default, so an empty or absent file is valid. Secrets come only from the
// environment, or from the file that NAME_FILE names; the package reads no
// environment itself, cmd passes a lookup function.
package config

import (
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// A Config is the whole configuration after defaults and validation.
type Config struct {
	Listen   string             `yaml:"listen"`
	OnCall   OnCall             `yaml:"oncall"`
	Clusters map[string]Cluster `yaml:"clusters"`
	Webhook  Webhook            `yaml:"webhook"`
	Policy   Policy             `yaml:"policy"`
	SigNoz   SigNoz             `yaml:"signoz"`
	GitLab   GitLab             `yaml:"gitlab"`
	Slack    Slack              `yaml:"slack"`
	Session  Session            `yaml:"session"`

	Secrets Secrets `yaml:"-"`
	Path    string  `yaml:"-"` // absolute path of the file; "" if there is none
}

// OnCall names the people who are reached.
type OnCall struct {
	SlackUser       string `yaml:"slack_user"`
	QuietHours      Hours  `yaml:"quiet_hours"` // holds back what is not critical
	Second          string `yaml:"second"`
	SecondAfterNags int    `yaml:"second_after_nags"` // default 6
}

// A Cluster is one Kubernetes cluster, by the name that tools and people use.
type Cluster struct {
	Context    string      `yaml:"context"`    // in the kubeconfig; default: the cluster's name
	Kubeconfig string      `yaml:"kubeconfig"` // default: KUBECONFIG, then ~/.kube/config
	Env        runbook.Env `yaml:"env"`        // prod, dev; default unknown, treated as prod
	Aliases    []string    `yaml:"aliases"`    // other values of the cluster label
}

// Webhook tells how alerts are read. Each list is tried in order; the first
// label (or annotation) that is present wins. Empty lists mean the defaults.
type Webhook struct {
	NameKeys        []string `yaml:"name_keys"`
	SeverityKeys    []string `yaml:"severity_keys"`
	ServiceKeys     []string `yaml:"service_keys"`
	ClusterKeys     []string `yaml:"cluster_keys"`
	NamespaceKeys   []string `yaml:"namespace_keys"`
	EnvironmentKeys []string `yaml:"environment_keys"`
	HMACHeader      string   `yaml:"hmac_header"`           // default X-Grafana-Alerting-Signature
	HMACTimestamp   string   `yaml:"hmac_timestamp_header"` // "" if the sender signs the body alone
}

// Policy is what the operator decided beforehand; see [runbook.Policy].
type Policy struct {
	ProtectedNamespaces []string        `yaml:"protected_namespaces"`
	KnownNoise          []runbook.Match `yaml:"known_noise"`
	EscalateAlways      []runbook.Match `yaml:"escalate_always"`
	Writes              Writes          `yaml:"writes"`
}

// Rules returns the part that the rules of runbook need.
func (p Policy) Rules() runbook.Policy {
	return runbook.Policy{ProtectedNamespaces: p.ProtectedNamespaces, KnownNoise: p.KnownNoise, EscalateAlways: p.EscalateAlways}
}

// Writes bounds what the session may change in an hour.
type Writes struct {
	PerHour          int `yaml:"per_hour"`            // default 10
	PerTargetPerHour int `yaml:"per_target_per_hour"` // default 2
}

// SigNoz is where logs, traces and metrics are; the key is SIGNOZ_API_KEY.
type SigNoz struct {
	URL string `yaml:"url"`
}

// GitLab is where merge requests are; the token is GITLAB_TOKEN.
type GitLab struct {
	URL      string            `yaml:"url"`
	Projects map[string]string `yaml:"projects"` // service → project path
}

// Slack is where people are; the tokens are SLACK_BOT_TOKEN and SLACK_APP_TOKEN.
type Slack struct {
	APIURL string `yaml:"api_url"` // default https://slack.com/api/
}

// Session tells how the Claude Code session is run.
type Session struct {
	Mode          string `yaml:"mode"`       // auto, channels, stream or responder; default auto
	RestartAt     Clock  `yaml:"restart_at"` // default 04:00 UTC
	Claude        string `yaml:"claude"`     // the CLI's name or path; default claude
	Model         string `yaml:"model"`      // "" is the CLI's default
	SubAgentModel string `yaml:"sub_agent_model"`
}

// Secrets come from the environment, or from the files that NAME_FILE names.
type Secrets struct {
	WebhookToken secret.Value // WATCHKEEPER_WEBHOOK_TOKEN: Bearer, or the password of Basic
	WebhookHMAC  secret.Value // WATCHKEEPER_WEBHOOK_HMAC_SECRET
	SlackBot     secret.Value // SLACK_BOT_TOKEN
	SlackApp     secret.Value // SLACK_APP_TOKEN
	SigNoz       secret.Value // SIGNOZ_API_KEY
	GitLab       secret.Value // GITLAB_TOKEN
}

// A Clock is a time of day in a time zone, written "04:00 Europe/Paris"; no
// zone means UTC. The zero Clock is midnight UTC.
type Clock struct {
	Hour, Minute int
	Location     *time.Location // nil is UTC
}

// Hours is a span of the day in a time zone, written "22:00-07:00
// Europe/Paris"; it may cross midnight. The zero Hours is never.
type Hours struct {
	From, To Clock
	Set      bool
}
