package messages

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
)

// usage is what every answer claims to have cost.
func usage(r Request) map[string]any {
	return map[string]any{
		"input_tokens": 1 + len(r.Raw)/4, "cache_creation_input_tokens": 0,
		"cache_read_input_tokens": 0, "output_tokens": 5,
	}
}

// answer sends blocks as the model's turn.
func answer(w http.ResponseWriter, r Request, blocks []Block, caught map[string]string) {
	if len(blocks) == 0 {
		blocks = []Block{Text("OK")}
	}
	contents, stop := make([]map[string]any, len(blocks)), "end_turn"
	for i, b := range blocks {
		if b.Tool == "" {
			contents[i] = map[string]any{"type": "text", "text": expand(b.Text, caught)}
			continue
		}
		stop = "tool_use"
		input, _ := expand(b.Input, caught).(map[string]any)
		if input == nil {
			input = map[string]any{}
		}
		contents[i] = map[string]any{"type": "tool_use", "id": "toolu_" + rand.Text(), "name": b.Tool, "input": input}
	}
	id := "msg_" + rand.Text()
	w.Header().Set("Request-Id", "req_"+id[4:])
	envelope := map[string]any{
		"id": id, "type": "message", "role": "assistant", "model": r.Model(),
		"content": contents, "stop_reason": stop, "stop_sequence": nil, "usage": usage(r),
	}
	if !r.body.Stream {
		writeJSON(w, http.StatusOK, envelope)
		return
	}
	envelope["content"], envelope["stop_reason"] = []any{}, nil
	stream(w, envelope, contents, stop)
}

// stream sends the turn as server-sent events.
func stream(w http.ResponseWriter, envelope map[string]any, contents []map[string]any, stop string) {
	w.Header().Set("Content-Type", "text/event-stream")
	event(w, "message_start", map[string]any{"message": envelope})
	for i, c := range contents {
		start, delta := map[string]any{"type": "text", "text": ""}, map[string]any{"type": "text_delta", "text": c["text"]}
		if c["type"] == "tool_use" {
			args, err := json.Marshal(c["input"])
			if err != nil {
				panic(fmt.Sprintf("input of %v: %v", c["name"], err)) // the test's own mistake
			}
			start = map[string]any{"type": "tool_use", "id": c["id"], "name": c["name"], "input": map[string]any{}}
			delta = map[string]any{"type": "input_json_delta", "partial_json": string(args)}
		}
		event(w, "content_block_start", map[string]any{"index": i, "content_block": start})
		event(w, "content_block_delta", map[string]any{"index": i, "delta": delta})
		event(w, "content_block_stop", map[string]any{"index": i})
	}
	event(w, "message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil},
		"usage": map[string]any{"output_tokens": 5},
	})
	event(w, "message_stop", map[string]any{})
}

func event(w http.ResponseWriter, name string, data map[string]any) {
	data["type"] = name
	b, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("event %s: %v", name, err))
	}
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b)
	http.NewResponseController(w).Flush() //nolint:errcheck // the client may be gone, as tests want it
}

func fail(w http.ResponseWriter, f Failure) {
	for k, v := range f.Header {
		w.Header().Set(k, v)
	}
	writeJSON(w, f.Status, map[string]any{"type": "error", "error": map[string]any{
		"type":    cmp.Or(f.Type, "api_error"),
		"message": cmp.Or(f.Message, "the script fails this request"),
	}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client may be gone, as tests want it
}
