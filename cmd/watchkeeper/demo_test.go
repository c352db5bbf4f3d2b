package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	tests := []struct {
		name    string
		args    string
		want    string // part of the output
		wantErr string // part of the error; "" means success
	}{
		{"with --exit it ends by itself, without colours off a terminal", "--exit --port 0", "=== SRE Briefing", ""},
		{"a port is said once", "--exit --port 0 --listen 127.0.0.1:0", "", "give one of them"},
		{"an address that is none is an error", "--exit --listen nonsense", "", "nonsense"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			cmd := newDemo()
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			cmd.SetOut(&out)
			cmd.SetErr(&stderr)
			cmd.SetArgs(strings.Fields(tt.args))
			err := cmd.ExecuteContext(t.Context())
			switch {
			case tt.wantErr == "" && err != nil:
				t.Errorf("demo %s: %v", tt.args, err)
			case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("demo %s: %v, want %q", tt.args, err, tt.wantErr)
			}
			if !strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), "\x1b") {
				t.Errorf("demo %s wrote %q, want %q and no colours", tt.args, &out, tt.want)
			}
			if stderr.Len() > 0 {
				t.Errorf("demo %s wrote to stderr: %s", tt.args, &stderr)
			}
		})
	}
}
