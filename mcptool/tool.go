// Package mcptool makes an MCP tool of a typed function: the schema comes from
// the struct of its arguments, and every error becomes a failed result that
// the model reads.
package mcptool

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// New returns the tool name. fn gets its arguments already decoded; an error of
// it must say what was wrong and what to do next. mcp-go takes every tool for
// destructive and open to the world unless the hints say otherwise.
func New[In any](name, description string, hints []mcp.ToolOption, fn func(context.Context, In) (string, error)) server.ServerTool {
	opts := append([]mcp.ToolOption{mcp.WithDescription(description), mcp.WithInputSchema[In]()}, hints...)
	return server.ServerTool{
		Tool: mcp.NewTool(name, opts...),
		Handler: func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var in In
			if err := req.BindArguments(&in); err != nil {
				return mcp.NewToolResultErrorf("%s: read arguments: %v", name, err), nil
			}
			text, err := fn(ctx, in)
			if err != nil {
				return mcp.NewToolResultErrorf("%s: %v", name, err), nil
			}
			return mcp.NewToolResultText(text), nil
		},
	}
}

// ReadOnly are the hints of a tool that changes nothing.
func ReadOnly() []mcp.ToolOption { return hints(true, false, true) }

// Additive are the hints of a tool that adds to our own memory, or speaks to
// people; calling it twice is harmless.
func Additive() []mcp.ToolOption { return hints(false, false, true) }

// Destructive are the hints of a tool that changes something outside.
func Destructive() []mcp.ToolOption { return hints(false, true, false) }

func hints(readOnly, destructive, idempotent bool) []mcp.ToolOption {
	return []mcp.ToolOption{
		mcp.WithReadOnlyHintAnnotation(readOnly), mcp.WithDestructiveHintAnnotation(destructive),
		mcp.WithIdempotentHintAnnotation(idempotent), mcp.WithOpenWorldHintAnnotation(false),
	}
}
