package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"watchkeeper/cmd/internal/scripted"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sre-tools": main})
}

func TestScript(t *testing.T) { scripted.Run(t, "sre-tools") }
