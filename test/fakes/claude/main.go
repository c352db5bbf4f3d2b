package claude

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Main plays the CLI if this process was started to do so, and does not
// return then.
func Main() {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return
	}
	c := &cli{ctx: context.Background(), dir: dir, servers: map[string]*server{}, work: make(chan func(), 1000)}
	if err := c.run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%v\r\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// cli is the process that plays. One goroutine, the model, does everything
// that comes in, in its order.
type cli struct {
	ctx      context.Context // of the process
	dir      string
	debug    string
	channels []string
	config   map[string]entry
	hooks    map[string][]hooked
	servers  map[string]*server
	work     chan func()
	writing  sync.Mutex // of the records
}

// entry is a server in the MCP configuration.
type entry struct {
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
}

// hooked is a group of hooks in the settings.
type hooked struct {
	Hooks []struct {
		Command string `json:"command"`
	} `json:"hooks"`
}

func (c *cli) run(args []string) error {
	if err := c.read(args); err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-asked
		os.Exit(143) // the servers see the end of their input
	}()
	screen, err := openScreen(c.ctx)
	if err != nil {
		return err
	}
	if why := c.set("refuse"); why != "" {
		return errors.New(why)
	}
	c.record(Record{Kind: "start", Text: strings.Join(args, " ")})
	for name := range strings.SplitSeq(c.set("dialogs"), ",") {
		if name != "" {
			c.record(Record{Kind: "answered", Server: name, Text: screen.ask(dialog(name, c.channels))})
		}
	}
	for name := range c.config {
		if err := c.start(name, "registered"); err != nil {
			return err
		}
	}
	c.record(Record{Kind: "ready"})
	c.hook("SessionStart", map[string]any{"source": "startup", "model": "fake"})
	go screen.prompts(c.typed)
	for do := range c.work {
		do()
	}
	return nil
}

// typed takes a message of the user.
func (c *cli) typed(text string) *choice {
	if text == "" {
		return nil
	}
	c.work <- func() { c.prompt(text) }
	if question := c.set("ask"); question != "" {
		return &choice{[]string{question}, []string{"Yes", "No"}}
	}
	return nil
}

// read takes the arguments and the files that they name.
func (c *cli) read(args []string) error {
	for i, a := range args {
		switch a {
		case "--mcp-config":
			var config struct {
				Servers map[string]entry `json:"mcpServers"`
			}
			if err := readJSON(args[i+1], &config); err != nil {
				return err
			}
			c.config = config.Servers
		case "--settings":
			var settings struct {
				Hooks map[string][]hooked `json:"hooks"`
			}
			if err := readJSON(args[i+1], &settings); err != nil {
				return err
			}
			c.hooks = settings.Hooks
		case "--debug-file":
			c.debug = args[i+1]
		case "--dangerously-load-development-channels":
			for _, name := range args[i+1:] {
				c.channels = append(c.channels, strings.TrimPrefix(name, "server:"))
			}
		}
	}
	return nil
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// set is what the test has set.
func (c *cli) set(name string) string {
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (c *cli) record(r Record) {
	r.PID = os.Getpid()
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	add(filepath.Join(c.dir, "records.jsonl"), string(text)+"\n")
}

// log adds a line to the debug log.
func (c *cli) log(server, text string) {
	add(c.debug, fmt.Sprintf("%s [DEBUG] MCP server %q: %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), server, text))
}

func add(path, text string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		panic(err)
	}
}

// hook runs the hooks of event and waits for them.
func (c *cli) hook(event string, fields map[string]any) {
	fields["hook_event_name"], fields["session_id"], fields["cwd"] = event, "fake", "."
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	for _, group := range c.hooks[event] {
		for _, h := range group.Hooks {
			cmd := exec.CommandContext(c.ctx, "sh", "-c", h.Command)
			cmd.Stdin = bytes.NewReader(text)
			_ = cmd.Run() // a hook that fails stops nothing
		}
	}
}
