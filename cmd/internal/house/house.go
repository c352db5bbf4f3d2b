// Package house opens what every program of Watchkeeper needs - configuration,
// state directory, memory, log - and builds the parts that several programs
// can host, so that a part is the same whoever hosts it.
//
// It holds no rule of its own and does not know the clusters: the channels
// must stay small and start fast.
package house

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper"
	"watchkeeper/config"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/state"
)

// Version is what the programs call themselves.
const Version = "0.1.0"

// Flags are the settings that every program has.
type Flags struct {
	Config  string
	State   string
	Verbose bool
}

// AddFlags adds f to cmd. The environment gives the defaults:
// WATCHKEEPER_CONFIG and WATCHKEEPER_STATE.
func AddFlags(cmd *cobra.Command, f *Flags) {
	dir := os.Getenv("WATCHKEEPER_STATE")
	if dir == "" {
		dir = "./var"
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists the flags", err, c.CommandPath())
	})
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.Config, "config", os.Getenv("WATCHKEEPER_CONFIG"), "configuration file (WATCHKEEPER_CONFIG); ./watchkeeper.yaml if there is one")
	flags.StringVar(&f.State, "state", dir, "state directory (WATCHKEEPER_STATE)")
	flags.BoolVarP(&f.Verbose, "verbose", "v", false, "log more")
}

// Log returns the logger of a program. Stdout belongs to a protocol or to
// people, so logs go to stderr.
func (f Flags) Log(stderr io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if f.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
}

// A House is what the parts have in common.
type House struct {
	Config    config.Config
	Workspace string // absolute; where CLAUDE.md and the playbooks are
	Dir       state.Dir
	Store     *sqlite.Store
	Playbooks runbook.Playbooks
	Log       *slog.Logger
}

// Open reads the configuration and opens the memory. The caller closes the
// House.
func Open(ctx context.Context, f Flags, log *slog.Logger) (*House, error) {
	h, err := read(ctx, f, log)
	if err != nil {
		return nil, err
	}
	if h.Dir, err = state.Open(f.State); err != nil {
		return nil, err
	}
	if h.Store, err = sqlite.Open(ctx, h.Dir.Database()); err != nil {
		return nil, err
	}
	return h, nil
}

// Visit opens what is there and makes nothing: where no memory is, Store is
// nil. The caller closes the House.
func Visit(ctx context.Context, f Flags, log *slog.Logger) (*House, error) {
	if _, err := os.Stat(f.State); errors.Is(err, fs.ErrNotExist) {
		return read(ctx, f, log)
	}
	return Open(ctx, f, log)
}

// read reads the configuration and the playbooks.
func read(ctx context.Context, f Flags, log *slog.Logger) (*House, error) {
	cfg, err := config.Load(f.Config, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	h := &House{Config: cfg, Log: log}
	if h.Workspace, err = Workspace(cfg.Path); err != nil {
		return nil, err
	}
	if h.Playbooks, err = runbook.LoadPlaybooks(playbooks(h.Workspace)); err != nil {
		// A mistake in one playbook must not cost the night's alerts.
		log.ErrorContext(ctx, "playbooks left out", "err", err)
	}
	return h, nil
}

// Close closes the memory.
func (h *House) Close() {
	if h.Store == nil {
		return
	}
	if err := h.Store.Close(); err != nil {
		h.Log.Error("memory not closed", "err", err)
	}
}

// Workspace returns the folder of the configuration file, or the current one if
// there is none ("").
func Workspace(config string) (string, error) {
	if config != "" {
		return filepath.Dir(config), nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	return dir, nil
}

// playbooks are those of the workspace, or the built-in ones if it has none.
func playbooks(workspace string) fs.FS {
	dir := filepath.Join(workspace, "playbooks")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return os.DirFS(dir)
	}
	built, err := fs.Sub(watchkeeper.Workspace, "playbooks")
	if err != nil {
		panic(err) // the name is constant
	}
	return built
}

// Briefing returns the page of the days before now. Its dates are those of the
// time zone in which the session restarts.
func (h *House) Briefing(ctx context.Context, now time.Time, days int) (string, error) {
	b, err := h.Store.Briefing(ctx, now, days)
	if err != nil {
		return "", err
	}
	b.Location = h.Config.Session.RestartAt.Location
	return b.String(), nil
}
