package fakeslack

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

type upload struct {
	file   File
	length int
}

func startUpload(s *Server, c Call) (reply, string) {
	n := c.number("length", 0)
	if c.Args["filename"] == "" || n == 0 {
		return nil, "invalid_arguments"
	}
	u := &upload{file: File{ID: s.nextID("F"), Name: c.Args["filename"]}, length: n}
	s.uploads[u.file.ID] = u
	return reply{"upload_url": strings.TrimSuffix(s.url, "api/") + "upload/" + u.file.ID, "file_id": u.file.ID}, ""
}

// serveUpload takes the bytes of a file, as a form or as they are.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	var body []byte
	file, _, err := r.FormFile("file")
	if err == nil {
		defer file.Close()
		body, err = io.ReadAll(io.LimitReader(file, maxBody))
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[r.PathValue("id")]
	if err != nil || u == nil || len(body) != u.length {
		http.Error(w, "the file does not match", http.StatusBadRequest)
		return
	}
	u.file.Content = string(body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

func completeUpload(s *Server, c Call) (reply, string) {
	var wanted []struct{ ID, Title string }
	if err := json.Unmarshal([]byte(c.Args["files"]), &wanted); err != nil || len(wanted) == 0 {
		return nil, "invalid_arguments"
	}
	var files []File
	var list []reply
	for _, f := range wanted {
		u := s.uploads[f.ID]
		if u == nil || u.file.Content == "" {
			return nil, "file_not_found"
		}
		delete(s.uploads, f.ID)
		u.file.Title = f.Title
		files = append(files, u.file)
		list = append(list, reply{"id": f.ID, "title": f.Title})
	}
	if id := c.Args["channel_id"]; id != "" {
		if s.channels[id] == nil {
			return nil, "channel_not_found"
		}
		s.post(&Message{
			TS: s.nextTS(), Thread: c.Args["thread_ts"], Channel: id, User: BotUser, BotID: BotID,
			Text: c.Args["initial_comment"], Files: files, At: s.now(),
		})
	}
	return reply{"files": list}, ""
}
