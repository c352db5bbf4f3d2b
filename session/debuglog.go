package session

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
)

// A channelNews is what the CLI's debug log says of a server as a channel.
type channelNews struct {
	server     string
	registered bool
	why        string // not registered
}

// channelLine matches from the start of the line: what a server says itself
// stands in the log too, but further right, and must not pass for the CLI.
var channelLine = regexp.MustCompile(`^\S+ \[\w+\] MCP server "([^"]+)": Channel notifications (registered|re-registered.*|skipped: (.*))$`)

// parseDebug reads a line of the debug log; false if it is about something
// else.
func parseDebug(line string) (channelNews, bool) {
	m := channelLine.FindStringSubmatch(line)
	if m == nil {
		return channelNews{}, false
	}
	return channelNews{server: m[1], registered: m[3] == "", why: m[3]}, true
}

// connectionLine is about the life of a connection, from the start of the line
// too.
var connectionLine = regexp.MustCompile(`^\S+ \[\w+\] MCP server "([^"]+)": (Starting connection|Successfully connected|Connection failed|Failed to connect)`)

// parseConnection reads that a server is being connected, or no longer is.
func parseConnection(line string) (server string, begins, ok bool) {
	m := connectionLine.FindStringSubmatch(line)
	if m == nil {
		return "", false, false
	}
	return m[1], m[2] == "Starting connection", true
}

// A follower reads the lines that are added to a file. The file may not be
// there yet.
type follower struct {
	path string
	at   int64 // where the next line begins
}

// maxFollow bounds one look; the rest is read by the next one.
const maxFollow = 4 << 20

// lines returns the whole lines that are new.
func (f *follower) lines() ([]string, error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, f.at, maxFollow))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(text, '\n')
	if end < 0 {
		if len(text) == maxFollow { // a line that is too long for anything of ours
			f.at += maxFollow
		}
		return nil, nil
	}
	f.at += int64(end) + 1
	var all []string
	for line := range bytes.Lines(text[:end+1]) {
		all = append(all, string(bytes.TrimRight(line, "\n")))
	}
	return all, nil
}
