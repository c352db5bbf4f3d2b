package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/channels/slack"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/cmd/internal/toolbox"
	"watchkeeper/config"
	"watchkeeper/doctor"
	"watchkeeper/lint"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/session"
	"watchkeeper/state"
	"watchkeeper/tools"
)

// A patient is this installation, as far as it can be looked at: neither a
// configuration that cannot be read nor a memory that is damaged may keep the
// doctor from the rest.
type patient struct {
	house     *house.House // its Store is nil while the memory was not found to be well
	configErr error        // then the configuration is the default one
	testCard  bool
}

// newPatient creates nothing and brings nothing up to date.
func newPatient(cmd *cobra.Command, f *house.Flags) (*patient, error) {
	h := &house.House{Log: f.Log(cmd.ErrOrStderr())}
	p := &patient{house: h}
	if h.Config, p.configErr = config.Load(f.Config, os.LookupEnv); p.configErr != nil {
		h.Config = config.Default()
	}
	var err1, err2 error
	h.Dir, err1 = state.At(f.State)
	h.Workspace, err2 = house.Workspace(h.Config.Path)
	return p, errors.Join(err1, err2)
}

// configuration has a line for each mistake.
func (p *patient) configuration() (found []doctor.Finding) {
	const where, what = "configuration", "file"
	if p.configErr == nil {
		detail := cmp.Or(p.house.Config.Path, "none: everything has its default")
		return []doctor.Finding{{Where: where, What: what, Level: doctor.OK, Detail: detail}}
	}
	for line := range strings.SplitSeq(p.configErr.Error(), "\n") {
		found = append(found, doctor.Finding{
			Where: where, What: what, Level: doctor.Wrong, Detail: line,
			Fix: "docs/configuration.md; Slack, clusters, SigNoz and GitLab are looked at once the configuration can be read",
		})
	}
	return found
}

// everything looks at the machine first: what is wrong there decides what else
// can be looked at.
func (p *patient) everything(ctx context.Context) []doctor.Finding {
	c, dir := p.house.Config, p.house.Dir
	memory := &doctor.Memory{Path: dir.Database(), Backups: dir.Path("backups")}
	found := doctor.Run(ctx, p.programs().Examine, doctor.Machine{State: dir.String()}.Examine, secretFiles().Examine, p.clock().Examine, memory.Examine)
	if p.configErr != nil {
		return found
	}
	if memory.Ready && machineIsOurs(found) {
		store, err := sqlite.Open(ctx, dir.Database())
		if err != nil {
			return append(found, doctor.Finding{Where: "memory", What: "open", Level: doctor.Wrong, Detail: err.Error(), Fix: "docs/operations.md"})
		}
		p.house.Store = store
		defer p.house.Close()
	}
	return append(found, doctor.Run(
		ctx, p.runbook, p.intake, p.troubles, p.slack, p.kube,
		doctor.SigNoz{URL: c.SigNoz.URL, Key: c.Secrets.SigNoz}.Examine,
		doctor.GitLab{URL: c.GitLab.URL, Token: c.Secrets.GitLab, Projects: c.GitLab.Projects}.Examine,
	)...)
}

// machineIsOurs reports whether opening the memory leaves no file of another
// user behind.
func machineIsOurs(found []doctor.Finding) bool {
	return !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.What == doctor.StateDirectory && f.Level == doctor.Wrong })
}

func (p *patient) programs() doctor.Programs {
	folder := ""
	if self, err := os.Executable(); err == nil {
		if target, err := filepath.EvalSymlinks(self); err == nil {
			self = target
		}
		folder = filepath.Dir(self)
	}
	c := p.house.Config.Session
	return doctor.Programs{
		Claude: c.Claude, Mode: c.Mode, Env: session.Environ(os.Environ()),
		Folder: folder, Servers: servers, Version: house.Version,
	}
}

// secretFiles are those that the environment names, with that of the clusters.
func secretFiles() doctor.Secrets {
	files := doctor.Secrets{}
	for _, name := range config.SecretNames() {
		if path := os.Getenv(name + "_FILE"); path != "" {
			files[name+"_FILE"] = path
		}
	}
	for _, path := range filepath.SplitList(os.Getenv("KUBECONFIG")) {
		files["KUBECONFIG "+path] = path
	}
	return files
}

func (p *patient) clock() doctor.Clock {
	c := p.house.Config
	urls := []string{c.SigNoz.URL, c.GitLab.URL, c.Slack.APIURL}
	return doctor.Clock{URLs: slices.DeleteFunc(urls, func(u string) bool { return u == "" })}
}

// runbook holds the workspace against the tools and the policy. Without a
// memory there are no recent alerts to compare with.
func (p *patient) runbook(ctx context.Context) []doctor.Finding {
	const where, fix = "workspace", "watchkeeper lint shows all of it; watchkeeper init DIR makes a workspace"
	h := *p.house
	if h.Store == nil {
		dir, err := os.MkdirTemp("", "watchkeeper-*")
		if err != nil {
			return []doctor.Finding{{Where: where, What: "runbook", Level: doctor.Wrong, Detail: err.Error(), Fix: "see that there is room in the folder for temporary files"}}
		}
		defer os.RemoveAll(dir) //nolint:errcheck // the system sweeps it
		if h.Store, err = sqlite.Open(ctx, filepath.Join(dir, "empty.db")); err != nil {
			return []doctor.Finding{{Where: where, What: "runbook", Level: doctor.Wrong, Detail: err.Error(), Fix: "see that there is room in the folder for temporary files"}}
		}
		defer h.Close()
	}
	found, err := lintWorkspace(ctx, &h)
	if err != nil {
		return []doctor.Finding{{Where: where, What: "runbook", Level: doctor.Wrong, Detail: err.Error(), Fix: fix}}
	}
	mistakes := slices.DeleteFunc(slices.Clone(found), func(f lint.Finding) bool { return f.Level != lint.Error })
	if len(mistakes) > 0 {
		return []doctor.Finding{{
			Where: where, What: "runbook", Level: doctor.Wrong, Fix: fix,
			Detail: fmt.Sprintf("%s: %d mistakes; the first is %s", h.Workspace, len(mistakes), mistakes[0]),
		}}
	}
	return []doctor.Finding{{Where: where, What: "runbook", Level: doctor.OK, Detail: fmt.Sprintf("%s: no mistakes, %d warnings", h.Workspace, len(found))}}
}

func (p *patient) intake(ctx context.Context) []doctor.Finding {
	c := p.house.Config
	in := doctor.Intake{
		Listen: c.Listen, Token: c.Secrets.WebhookToken, HMAC: c.Secrets.WebhookHMAC,
		HMACHeader: c.Webhook.HMACHeader, HMACTimestamp: c.Webhook.HMACTimestamp,
		Silence: map[string]time.Duration{}, LastHeard: map[string]time.Time{},
	}
	if who, held := p.house.Dir.Holder(state.Intake); held {
		in.Holder = fmt.Sprintf("%s (pid %d)", who.Program, who.PID)
	}
	for name, most := range c.Watch.Senders {
		in.Silence["sender "+name] = time.Duration(most)
	}
	for name, cl := range c.Clusters {
		if cl.Heartbeat > 0 {
			in.Silence["heartbeat "+name] = time.Duration(cl.Heartbeat)
		}
	}
	if p.house.Store == nil {
		return in.Examine(ctx)
	}
	beats, err := p.house.Store.Beats(ctx)
	if err != nil {
		return []doctor.Finding{{Where: "intake", What: "senders", Level: doctor.Wrong, Detail: err.Error(), Fix: "docs/operations.md"}}
	}
	for _, b := range beats {
		if name, ok := strings.CutPrefix(b.Name, sqlite.SenderSign); ok {
			in.LastHeard["sender "+name] = b.At
		}
		if name, ok := strings.CutPrefix(b.Name, sqlite.HeartbeatSign); ok {
			in.LastHeard["heartbeat "+name] = b.At
		}
	}
	return in.Examine(ctx)
}

// troubles are what the watchdog has told people of and what is not over.
func (p *patient) troubles(ctx context.Context) (found []doctor.Finding) {
	if p.house.Store == nil {
		return nil
	}
	const fix = `watchkeeper status; docs/operations.md, "What to do when"`
	open, err := p.house.Store.Troubles(ctx)
	if err != nil {
		return []doctor.Finding{{Where: "watch", What: "troubles", Level: doctor.Wrong, Detail: err.Error(), Fix: fix}}
	}
	for _, t := range open {
		found = append(found, doctor.Finding{
			Where: "watch", What: t.Key, Level: doctor.Wrong, Fix: fix,
			Detail: fmt.Sprintf("for %s; people were told by escalation %d", runbook.Short(time.Since(t.Since)), t.Escalation),
		})
	}
	return found
}

func (p *patient) slack(ctx context.Context) (found []doctor.Finding) {
	c := p.house.Config
	_, linked := p.house.Dir.Holder(state.Link)
	for _, f := range slack.Doctor(ctx, slack.Examination{
		URL: c.Slack.APIURL, Bot: c.Secrets.SlackBot, App: c.Secrets.SlackApp,
		People: people.OnCall(p.house), Alone: !linked, TestCard: p.testCard,
	}) {
		level := doctor.OK
		switch {
		case f.OK:
		case strings.HasPrefix(f.Fix, "nothing"): // a person's own quiet hours
			level = doctor.Advice
		default:
			level = doctor.Wrong
		}
		found = append(found, doctor.Finding{Where: "slack", What: f.What, Level: level, Detail: f.Detail, Fix: f.Fix})
	}
	return found
}

func (p *patient) kube(ctx context.Context) (found []doctor.Finding) {
	rows := tools.Doctor(ctx, toolbox.Clusters(p.house.Config))
	if len(rows) == 0 {
		return []doctor.Finding{{
			Where: "kube", What: "clusters", Level: doctor.Advice, Detail: "none is configured: nothing can be looked at or mended",
			Fix: "name them under clusters (docs/configuration.md), with the account of deploy/kubernetes",
		}}
	}
	for _, r := range rows {
		f := doctor.Finding{Where: r.Cluster, What: r.What, Level: doctor.OK, Detail: fmt.Sprintf("want %s, got %s", r.Want, r.Got), Fix: r.Fix}
		if r.Detail != "" {
			f.Detail += "; " + r.Detail
		}
		if !r.OK {
			f.Level = doctor.Wrong
		}
		found = append(found, f)
	}
	return found
}
