package main

import (
	"flag"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"watchkeeper/cmd/internal/scripted"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sre-tools": main})
}

func TestScript(t *testing.T) { scripted.Run(t, "sre-tools", *update) }
