// Package config reads watchkeeper.yaml and the secrets that go with it.
//
// The file is strict: an unknown key or a wrong value is an error that names
// the file and the line, and all mistakes are reported at once. Everything has
// a default, so an empty or absent file is valid. Secrets come only from the
// environment, or from the file that NAME_FILE names; the package reads no
// environment itself, cmd passes a lookup function.
//
// The types of this file are the one source of the format: their tags give
// the keys (yaml), the rules (check, see check.go) and the words for people
// (jsonschema). [Load], [Schema] and [Reference] are all made from them.
package config

import (
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// A Config is the whole configuration after defaults and validation.
type Config struct {
	Listen    string             `yaml:"listen"   check:"address" jsonschema:"address of the intake; beyond loopback it needs WATCHKEEPER_WEBHOOK_TOKEN or WATCHKEEPER_WEBHOOK_HMAC_SECRET"`
	OnCall    OnCall             `yaml:"oncall"   jsonschema:"who is reached, and when"`
	Clusters  map[string]Cluster `yaml:"clusters" keys:"name" jsonschema:"the clusters, by the name that tools and people use"`
	Webhook   Webhook            `yaml:"webhook"  jsonschema:"how alerts are read; an empty list means the built-in keys"`
	Policy    Policy             `yaml:"policy"   jsonschema:"what was decided beforehand"`
	SigNoz    SigNoz             `yaml:"signoz"   jsonschema:"logs, traces and metrics; the key is SIGNOZ_API_KEY"`
	GitLab    GitLab             `yaml:"gitlab"   jsonschema:"merge requests and deployments; the token is GITLAB_TOKEN"`
	Slack     Slack              `yaml:"slack"    jsonschema:"the way to people; the tokens are SLACK_BOT_TOKEN and SLACK_APP_TOKEN"`
	Session   Session            `yaml:"session"  jsonschema:"the Claude Code session"`
	Watch     Watch              `yaml:"watch"    jsonschema:"how Watchkeeper watches itself and its senders; the address of an outside monitor is WATCHKEEPER_HEARTBEAT_URL"`
	Retention Retention          `yaml:"retention" jsonschema:"how long the memory keeps what is closed; what is open is never forgotten"`
	Telemetry Telemetry          `yaml:"telemetry" jsonschema:"where traces of the alerts go; the headers are OTEL_EXPORTER_OTLP_HEADERS"`

	Secrets Secrets `yaml:"-"`
	Path    string  `yaml:"-"` // absolute path of the file; "" if there is none
}

// OnCall names the people who are reached.
type OnCall struct {
	SlackUser       string `yaml:"slack_user"        check:"slack_user" jsonschema:"Slack user ID of the person on call"`
	QuietHours      Hours  `yaml:"quiet_hours"       jsonschema:"hours in which what is not critical is held back; empty means never"`
	Second          string `yaml:"second"            check:"slack_user" jsonschema:"Slack user ID of the person who is called when the first does not answer"`
	SecondAfterNags int    `yaml:"second_after_nags" check:"positive"   jsonschema:"nags without an answer after which the second person is called"`
	Nags            Nags   `yaml:"nags"              jsonschema:"when a critical escalation is repeated"`
}

// Nags tell when a critical escalation is repeated.
type Nags struct {
	Prod   Delay    `yaml:"prod"   jsonschema:"from the first message to nag 1 on prod, and where the environment is not known"`
	Dev    Delay    `yaml:"dev"    jsonschema:"the same on dev"`
	Every  Interval `yaml:"every"  jsonschema:"from nag to nag while nobody acknowledges"`
	Reping Delay    `yaml:"reping" jsonschema:"without activity, until whoever acknowledged is asked whether it is still theirs"`
}

// A Cluster is one Kubernetes cluster, by the name that tools and people use.
type Cluster struct {
	Context    string      `yaml:"context"    jsonschema:"context in the kubeconfig; default: the cluster's name"`
	Kubeconfig string      `yaml:"kubeconfig" jsonschema:"path of the kubeconfig; default: KUBECONFIG, else ~/.kube/config"`
	Env        runbook.Env `yaml:"env"        check:"env"  jsonschema:"kind of the cluster; one that is not given is treated as prod"`
	Aliases    []string    `yaml:"aliases"    check:"some" jsonschema:"other values of an alert's cluster label that mean this cluster; case does not matter"`
	Heartbeat  Interval    `yaml:"heartbeat"  jsonschema:"longest silence of the cluster's heartbeat alert (webhook.heartbeat_alerts) before a person is told; none is expected if it is not given"`
}

// Webhook tells how alerts are read. Each list is tried in order; the first
// label (or annotation) that is present wins. Empty lists mean the defaults.
type Webhook struct {
	NameKeys        []string `yaml:"name_keys"        check:"some" jsonschema:"labels that hold the alert's name, first match wins"`
	SeverityKeys    []string `yaml:"severity_keys"    check:"some" jsonschema:"labels that hold the severity"`
	ServiceKeys     []string `yaml:"service_keys"     check:"some" jsonschema:"labels that hold the service"`
	ClusterKeys     []string `yaml:"cluster_keys"     check:"some" jsonschema:"labels that hold the cluster"`
	NamespaceKeys   []string `yaml:"namespace_keys"   check:"some" jsonschema:"labels that hold the namespace"`
	EnvironmentKeys []string `yaml:"environment_keys" check:"some" jsonschema:"labels that hold the environment, for clusters that are not configured"`
	HeartbeatAlerts []string `yaml:"heartbeat_alerts" check:"some" jsonschema:"names of alerts that always fire and only show that a cluster's monitoring lives; they are no events; default: Watchdog"`
	HMACHeader      string   `yaml:"hmac_header"           check:"header"          jsonschema:"header with the HMAC-SHA256 of the body"`
	HMACTimestamp   string   `yaml:"hmac_timestamp_header" check:"optional_header" jsonschema:"header with the time that is signed too; empty if the sender signs the body alone"`
}

// Policy is what the operator decided beforehand; see [runbook.Policy].
type Policy struct {
	ProtectedNamespaces []string        `yaml:"protected_namespaces" check:"glob" jsonschema:"namespaces in which nothing is ever changed"`
	KnownNoise          []runbook.Match `yaml:"known_noise"     jsonschema:"alerts that are noise, unless they are critical on prod"`
	EscalateAlways      []runbook.Match `yaml:"escalate_always" jsonschema:"alerts that go to a person, whatever the investigation finds"`
	Writes              Writes          `yaml:"writes"          jsonschema:"bounds of what the session may change"`
}

// Rules returns the part that the rules of runbook need.
func (p Policy) Rules() runbook.Policy {
	return runbook.Policy{ProtectedNamespaces: p.ProtectedNamespaces, KnownNoise: p.KnownNoise, EscalateAlways: p.EscalateAlways}
}

// Writes bounds what the session may change in an hour. 0 means nothing.
type Writes struct {
	PerHour          int `yaml:"per_hour"            check:"count" jsonschema:"writes to all clusters in an hour; 0 allows none"`
	PerTargetPerHour int `yaml:"per_target_per_hour" check:"count" jsonschema:"writes to one object in an hour; 0 allows none"`
}

// SigNoz is where logs, traces and metrics are; the key is SIGNOZ_API_KEY.
// URL has no slash at its end; "" means that there is no SigNoz.
type SigNoz struct {
	URL string `yaml:"url" check:"url" jsonschema:"address of SigNoz; empty if there is none"`
}

// GitLab is where merge requests are; the token is GITLAB_TOKEN. URL has no
// slash at its end; "" means that there is no GitLab.
type GitLab struct {
	URL      string            `yaml:"url"      check:"url"     jsonschema:"address of GitLab; empty if there is none"`
	Projects map[string]string `yaml:"projects" check:"project" keys:"some" jsonschema:"project path of each service"`
}

// Slack is where people are; the tokens are SLACK_BOT_TOKEN and
// SLACK_APP_TOKEN. APIURL ends with a slash.
type Slack struct {
	APIURL string `yaml:"api_url" check:"required_url" jsonschema:"address of Slack's Web API; can point at a local fake"`
}

// Session tells how the Claude Code session is run.
type Session struct {
	Mode          string `yaml:"mode"            check:"mode" jsonschema:"how events reach the model: channels, else stream, else no model at all (responder); auto takes the first that works"`
	RestartAt     Clock  `yaml:"restart_at"      jsonschema:"time of the daily restart with a fresh context"`
	Claude        string `yaml:"claude"          check:"some" jsonschema:"name or path of the Claude Code CLI"`
	Model         string `yaml:"model"           jsonschema:"model of the dispatcher; empty is the CLI's default"`
	SubAgentModel string `yaml:"sub_agent_model" jsonschema:"model of the sub-agents that session.agents.models does not name; empty is that of their file, else of the session"`
	Agents        Agents `yaml:"agents"          jsonschema:"models and bounds of the sub-agents"`
}

// Agents says what the sub-agents of the session are. At a limit a sub-agent is asked
// for an honest partial report.
type Agents struct {
	Models map[string]string `yaml:"models" keys:"name" check:"some" jsonschema:"model of each sub-agent by its name, such as investigator: sonnet"`
	AtOnce int               `yaml:"at_once" check:"positive" jsonschema:"sub-agents that run at the same time"`
	Calls  int               `yaml:"calls"   check:"positive" jsonschema:"calls of tools by one sub-agent"`
	Within Interval          `yaml:"within"  jsonschema:"time of one sub-agent, from its start to its last call"`
}

// Retention tells when the memory forgets, in days.
type Retention struct {
	RawDays      int `yaml:"raw_days"      check:"days"  jsonschema:"days after which labels, annotations and bodies of alerts and the texts of messages are forgotten"`
	IncidentDays int `yaml:"incident_days" check:"month" jsonschema:"days after which an incident is forgotten, with its alerts and all that was done; at least 31, since a history looks back a month"`
}

// Watch tells how Watchkeeper watches itself and its senders.
type Watch struct {
	Senders map[string]Interval `yaml:"senders" keys:"source" jsonschema:"longest silence of each sender, by the last part of its path (/webhook/signoz), before a person is told"`
	Canary  Delay               `yaml:"canary"  jsonschema:"time between two events of our own that travel the whole way: intake, session, verdict; or never"`
}

// Telemetry tells where traces of the alerts go. OTLPEndpoint has no slash at
// its end and no /v1/traces; "" means that nothing is traced.
type Telemetry struct {
	OTLPEndpoint string `yaml:"otlp_endpoint" check:"url" jsonschema:"address of an OTLP/HTTP receiver, such as http://signoz-otel-collector:4318; default: OTEL_EXPORTER_OTLP_ENDPOINT; empty: no traces"`
}

// Secrets come from the environment, or from the files that NAME_FILE names.
// One that is not given is the zero Value.
type Secrets struct {
	WebhookToken secret.Value `env:"WATCHKEEPER_WEBHOOK_TOKEN"       jsonschema:"what senders present as a Bearer token or as the password of Basic"`
	WebhookHMAC  secret.Value `env:"WATCHKEEPER_WEBHOOK_HMAC_SECRET" jsonschema:"key of the signatures that senders put into webhook.hmac_header"`
	SlackBot     secret.Value `env:"SLACK_BOT_TOKEN"                 jsonschema:"token of the Slack app's bot (xoxb-…)"`
	SlackApp     secret.Value `env:"SLACK_APP_TOKEN"                 jsonschema:"app-level token for Socket Mode (xapp-…)"`
	SigNoz       secret.Value `env:"SIGNOZ_API_KEY"                  jsonschema:"key of the SigNoz API"`
	OTLPHeaders  secret.Value `env:"OTEL_EXPORTER_OTLP_HEADERS"      jsonschema:"name=value,… sent with traces, such as signoz-ingestion-key=…"`
	GitLab       secret.Value `env:"GITLAB_TOKEN"                    jsonschema:"GitLab token with the scope read_api"`
	Heartbeat    secret.Value `env:"WATCHKEEPER_HEARTBEAT_URL"       jsonschema:"address of an outside monitor such as healthchecks.io, which is asked every minute while all is well, and with /fail at its end when it is not"`
}

// Default returns the configuration of an empty file without secrets.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:8788",
		OnCall: OnCall{SecondAfterNags: 6, Nags: Nags{
			Prod: Delay(runbook.NagEvery), Dev: Never, Every: Interval(runbook.NagEvery), Reping: Delay(2 * time.Hour),
		}},
		Webhook:   Webhook{HMACHeader: "X-Grafana-Alerting-Signature"},
		Policy:    Policy{Writes: Writes{PerHour: 10, PerTargetPerHour: 2}},
		Slack:     Slack{APIURL: "https://slack.com/api/"},
		Watch:     Watch{Canary: Delay(time.Hour)},
		Retention: Retention{RawDays: 30, IncidentDays: 400},
		Session:   Session{Mode: "auto", RestartAt: Clock{Hour: 4}, Claude: "claude", Agents: Agents{AtOnce: 6, Calls: 25, Within: Interval(10 * time.Minute)}},
	}
}
