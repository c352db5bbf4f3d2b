package lint_test

import (
	"slices"
	"testing"

	"watchkeeper/runbook"
)

// TestEveryToolIsOnTheRightSideOfTheWall keeps the lists of runbook and the
// tools that exist together: a new tool is forbidden until somebody decides
// whose it is.
func TestEveryToolIsOnTheRightSideOfTheWall(t *testing.T) {
	listed := append(runbook.SubAgentTools(), runbook.DispatcherTools()...)
	var offered []string
	for _, tool := range known(t) {
		name := runbook.ServerTool(tool.Name)
		offered = append(offered, name)
		if !slices.Contains(listed, name) {
			t.Errorf("%s is nobody's: add it to runbook.SubAgentTools or runbook.DispatcherTools", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(offered, name) {
			t.Errorf("runbook lists %s, which no server offers", name)
		}
	}
}
