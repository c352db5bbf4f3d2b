package fakeslack

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request to the Web API.
const maxBody = 4 << 20

// A Call is one request to the Web API, as the server understood it.
type Call struct {
	Method string
	Args   map[string]string // lists and objects as JSON; no token
	Error  string            // what it was answered with; "" is ok
	At     time.Time
}

// A method of the Web API.
type method struct {
	scope string // that the bot token needs; "" is none
	app   bool   // takes the app-level token
	run   func(s *Server, c Call) (reply, string)
}

// A reply is the object that a method answers with, besides ok.
type reply = map[string]any

// methods are those that the server knows.
var methods = map[string]method{
	"api.test":                    {run: func(*Server, Call) (reply, string) { return reply{}, "" }},
	"auth.test":                   {run: authTest},
	"apps.connections.open":       {app: true, run: openConnection},
	"assistant.threads.setStatus": {scope: "chat:write", run: setStatus},
	"chat.delete":                 {scope: "chat:write", run: deleteMessage},
	"chat.deleteScheduledMessage": {scope: "chat:write", run: deleteScheduled},
	"chat.postMessage":            {scope: "chat:write", run: postMessage},
	"chat.scheduleMessage":        {scope: "chat:write", run: scheduleMessage},
	"chat.scheduledMessages.list": {run: listScheduled},
	"chat.update":                 {scope: "chat:write", run: updateMessage},
	"conversations.history":       {scope: "im:history", run: history},
	"conversations.info":          {scope: "im:read", run: conversationInfo},
	"conversations.open":          {scope: "im:write", run: openConversation},
	"conversations.replies":       {scope: "im:history", run: replies},
	"dnd.info":                    {scope: "dnd:read", run: dndInfo},
	"files.completeUploadExternal": {
		scope: "files:write", run: completeUpload,
	},
	"files.getUploadURLExternal": {scope: "files:write", run: startUpload},
	"reactions.add":              {scope: "reactions:write", run: addReaction},
	"users.info":                 {scope: "users:read", run: userInfo},
	"views.publish":              {run: func(*Server, Call) (reply, string) { return reply{"view": reply{"id": "V0FAKE"}}, "" }},
}

// serveMethod answers a call, or goes wrong as a fault asks.
func (s *Server) serveMethod(w http.ResponseWriter, r *http.Request) {
	c, token, err := readCall(w, r)
	if err != nil {
		s.answer(w, nil, "invalid_form_data")
		return
	}
	f := s.fault(c.Method)
	if !f.before(w, r) {
		return
	}
	body, code := s.run(c, token)
	if !f.after(w, r) {
		return
	}
	s.answer(w, body, code)
}

// run authorises and runs a call, and keeps it.
func (s *Server) run(c Call, token string) (body reply, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.At = s.now()
	m, known := methods[c.Method]
	switch code = s.authorise(m, token); {
	case !known:
		code = "unknown_method"
	case code == "":
		body, code = m.run(s, c)
	case code == "missing_scope":
		body = reply{"needed": m.scope, "provided": strings.Join(s.opts.Scopes, ",")}
	}
	c.Error = code
	s.calls = append(s.calls, c)
	s.touch()
	return body, code
}

func (s *Server) authorise(m method, token string) string {
	want := s.opts.BotToken
	if m.app {
		want = s.opts.AppToken
	}
	switch {
	case token == "":
		return "not_authed"
	case s.tokens[token]:
		return "token_revoked"
	case token != want && (token == s.opts.BotToken || token == s.opts.AppToken):
		return "not_allowed_token_type"
	case token != want:
		return "invalid_auth"
	case m.scope != "" && !slices.Contains(s.opts.Scopes, m.scope):
		return "missing_scope"
	}
	return ""
}

func (s *Server) answer(w http.ResponseWriter, body reply, code string) {
	if body == nil {
		body = reply{}
	}
	body["ok"] = code == ""
	if code != "" {
		body["error"] = code
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-OAuth-Scopes", strings.Join(s.opts.Scopes, ","))
	if code == "ratelimited" {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	_ = json.NewEncoder(w).Encode(body) // a client that hung up has its own trouble
}

// readCall reads the arguments of a form or a JSON body, and takes the token
// out of them.
func readCall(w http.ResponseWriter, r *http.Request) (c Call, token string, err error) {
	c = Call{Method: r.PathValue("method"), Args: map[string]string{}}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return c, "", fmt.Errorf("read call: %w", err)
	}
	form := r.URL.Query()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		err = c.readJSON(body)
	} else if len(body) > 0 {
		form, err = url.ParseQuery(string(body))
	}
	for k := range form {
		c.Args[k] = form.Get(k)
	}
	token = c.Args["token"]
	delete(c.Args, "token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	return c, token, err
}

func (c Call) readJSON(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	var args map[string]json.RawMessage
	if err := json.Unmarshal(body, &args); err != nil {
		return err
	}
	for k, raw := range args {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		c.Args[k] = text
	}
	return nil
}

func (c Call) flag(name string) bool {
	on, err := strconv.ParseBool(c.Args[name])
	return err == nil && on
}

func (c Call) number(name string, def int) int {
	n, err := strconv.Atoi(c.Args[name])
	if err != nil || n <= 0 {
		return def
	}
	return n
}

// Calls returns the calls of a method so far; "" is all of them.
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Call
	for _, c := range s.calls {
		if method == "" || c.Method == method {
			found = append(found, c)
		}
	}
	return found
}

func authTest(*Server, Call) (reply, string) {
	return reply{
		"url": "https://fake.slack.com/", "team": "Fake", "user": "watchkeeper", "team_id": Team, "user_id": BotUser,
		"bot_id": BotID, "is_enterprise_install": false,
	}, ""
}
