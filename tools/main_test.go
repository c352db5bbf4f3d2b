package tools_test

import (
	"os"
	"testing"

	"watchkeeper/test/kubetest"
)

// Some tests of the guard need a real API server; it is started by the first.
func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }
