package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/mark3labs/mcp-go/server"
)

// Tools describes what the MCP server of that name offers to the session:
// "sre-tools", "slack" or "webhook".
func Tools(name string, offered ...server.ServerTool) ([]Tool, error) {
	out := make([]Tool, len(offered))
	for i, t := range offered {
		text, err := json.Marshal(t.Tool)
		if err != nil {
			return nil, fmt.Errorf("describe tool %s: %w", t.Tool.Name, err)
		}
		var seen struct {
			InputSchema struct {
				Properties map[string]any `json:"properties"`
			} `json:"inputSchema"`
		}
		if err := json.Unmarshal(text, &seen); err != nil {
			return nil, fmt.Errorf("describe tool %s: %w", t.Tool.Name, err)
		}
		args := slices.Sorted(maps.Keys(seen.InputSchema.Properties))
		out[i] = Tool{Name: "mcp__" + name + "__" + t.Tool.Name, Args: append([]string{}, args...)}
	}
	return out, nil
}
