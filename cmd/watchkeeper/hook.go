package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/config"
	"watchkeeper/hook"
	"watchkeeper/state"
)

// hookWithin is how long an answer may take. The client waits for longer, and
// takes silence for a yes.
const hookWithin = 10 * time.Second

func newHook(f *house.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "hook",
		Short: "Answer Claude Code before a tool runs; .claude/settings.json calls it",
		Long: "Reads the JSON of a Claude Code hook (PreToolUse, SubagentStart, SubagentStop, StopFailure) from standard input and answers\n" +
			"it: which tools the dispatcher and the sub-agents may use, how many sub-agents run and for how long, and whether\n" +
			"a report has what it needs. The settings call it with \"|| exit 2\", so that no answer means no.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			late := time.AfterFunc(hookWithin, func() {
				fmt.Fprintln(cmd.ErrOrStderr(), "watchkeeper: no answer within", hookWithin)
				os.Exit(2)
			})
			defer late.Stop()
			return answerHook(*f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func answerHook(f house.Flags, stdin io.Reader, stdout, stderr io.Writer) error {
	in, err := hook.Read(stdin)
	if err != nil {
		return err
	}
	dir, err := state.Open(f.State)
	if err != nil {
		return err
	}
	gate := hook.Gate{Book: hook.Book{Dir: dir.Path("session", "agents")}, Limits: hookLimits(f, stderr)}
	answer, err := gate.Answer(in, time.Now())
	if err != nil { // trouble with the counts is no ground for a no
		fmt.Fprintln(stderr, "watchkeeper:", err)
	}
	text, err := answer.JSON(in.Event)
	if err != nil || text == nil {
		return err
	}
	_, err = stdout.Write(append(text, '\n'))
	return err
}

// hookLimits are those of the configuration. The session has not all the
// secrets that the rest of it may need, so none is read.
func hookLimits(f house.Flags, stderr io.Writer) hook.Limits {
	c, err := config.Load(f.Config, nil)
	if err != nil {
		fmt.Fprintln(stderr, "watchkeeper: the default limits hold:", err)
		c = config.Default()
	}
	a := c.Session.Agents
	return hook.Limits{AtOnce: a.AtOnce, Calls: a.Calls, Within: time.Duration(a.Within)}
}

// hookEnv are the variables by which the hooks of a session find this program
// and this house. Without the program every hook says no.
func hookEnv(h *house.House) []string {
	self, err := os.Executable()
	if err != nil {
		h.Log.Error("this program is not found for the hooks; it must be in the PATH", "err", err)
		self = "watchkeeper"
	}
	return []string{"WATCHKEEPER_PROGRAM=" + self, "WATCHKEEPER_STATE=" + h.Dir.String(), "WATCHKEEPER_CONFIG=" + h.Config.Path}
}
