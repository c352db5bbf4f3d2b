// Package mcptool makes an MCP tool of a typed function: the schema comes from
// the struct of its arguments, a wrong argument is named, and every error or
// panic becomes a failed result that the model reads.
package mcptool

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// A Hint tells the client what a tool does to the world. mcp-go takes every
// tool for destructive and open to the world unless it is told otherwise.
type Hint uint8

// Hints; combine them with |. A tool without ReadOnly writes.
const (
	ReadOnly    Hint = 1 << iota
	Destructive      // may take something away that does not come back by itself
	Idempotent       // calling it twice is calling it once
	AlwaysLoad       // every turn needs it: not deferred behind the client's tool search
)

// timeout is how long a call may take.
const timeout = 2 * time.Minute

// New returns the tool name. A field of In without omitempty is a required
// argument, one that In does not have is an error. An error of fn must say what
// was wrong and what to do next. New panics if In has no schema.
func New[In any](name, description string, h Hint, fn func(context.Context, In) (string, error)) server.ServerTool {
	t := mcp.NewTool(name, mcp.WithDescription(description), mcp.WithInputSchema[In](),
		mcp.WithReadOnlyHintAnnotation(h&ReadOnly != 0),
		mcp.WithDestructiveHintAnnotation(h&Destructive != 0),
		mcp.WithIdempotentHintAnnotation(h&(Idempotent|ReadOnly) != 0),
		mcp.WithOpenWorldHintAnnotation(false),
	)
	if h&AlwaysLoad != 0 {
		t.Meta = mcp.NewMetaFromMap(map[string]any{"anthropic/alwaysLoad": true})
	}
	schema := new(jsonschema.Schema)
	if err := json.Unmarshal(t.RawInputSchema, schema); err != nil {
		panic(fmt.Sprintf("tool %s: no schema for its arguments: %v", name, err))
	}
	return server.ServerTool{Tool: t, Handler: func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		text, err := call(ctx, schema, req, fn)
		if err != nil {
			return mcp.NewToolResultErrorf("%s: %v", name, err), nil
		}
		return mcp.NewToolResultText(text), nil
	}}
}

// call reads the arguments and runs fn; a panic becomes an error.
func call[In any](ctx context.Context, schema *jsonschema.Schema, req mcp.CallToolRequest, fn func(context.Context, In) (string, error)) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error, please report it: %v", r)
		}
	}()
	raw := []byte(req.Params.RawArguments)
	if len(raw) == 0 {
		if raw, err = json.Marshal(req.Params.Arguments); err != nil {
			return "", fmt.Errorf("read arguments: %w", err)
		}
	}
	var in In
	if err := readArguments(raw, schema, &in); err != nil {
		return "", err
	}
	return fn(ctx, in)
}
