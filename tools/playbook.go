package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

type playbookArgs struct {
	Name     string `json:"name,omitempty" jsonschema:"of the playbook, as in the event's playbook attribute"`
	Delivery string `json:"delivery,omitempty" jsonschema:"instead of name: the event, as d42"`
}

func getPlaybook(r recorder) server.ServerTool {
	return tool("get_playbook",
		"The page for one kind of alert: what to check and in which order, what is safe, what goes to a person, how urgent it is. "+
			"Load it right after incident_history, by the name in the event or the brief.",
		idempotent|alwaysLoad,
		func(ctx context.Context, in playbookArgs) (string, error) {
			switch {
			case in.Name != "":
				return r.namedPlaybook(in.Name)
			case in.Delivery == "":
				return "", errors.New("give name or delivery")
			}
			d, err := claim(ctx, r, in.Delivery)
			if err != nil {
				return "", err
			}
			p, err := r.playbook(ctx, d)
			if err != nil {
				return "", err
			}
			if p.Name == "" {
				return "", fmt.Errorf("no playbook fits %s; %s", d.ID, choices(r.playbooks))
			}
			return p.Page(), nil
		})
}

func (r recorder) namedPlaybook(name string) (string, error) {
	p, ok := r.playbooks.Find(strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), ".md")))
	if !ok {
		return "", fmt.Errorf("there is no playbook %q; %s", oneLine(name, 80), choices(r.playbooks))
	}
	return p.Page(), nil
}

func choices(ps runbook.Playbooks) string {
	if len(ps) == 0 {
		return "none could be loaded; watchkeeper lint says why"
	}
	return "there are " + strings.Join(ps.Names(), ", ")
}
