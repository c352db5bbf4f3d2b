package slack_test

import (
	"strings"
	"testing"

	"watchkeeper/channels/slack/fakeslack"
)

func TestACryRingsWithoutTheOutbox(t *testing.T) {
	s := newWorkspace(t, fakeslack.Options{Burst: -1})
	if err := clientOf(s).Cry(t.Context(), ann, "memory fails: <!channel> token=abcdefgh12345678"); err != nil {
		t.Fatal(err)
	}
	seen := s.Seen(s.DM(ann))
	if len(seen) != 1 || !strings.HasPrefix(seen[0].Text, "<@"+ann+"> memory fails: &lt;!channel&gt;") || strings.Contains(seen[0].Text, "abcdefgh") {
		t.Errorf("seen: %+v, want the text with a mention, and nothing in it that rings others or is secret", seen)
	}
	if n := len(s.Notifications()); n != 1 {
		t.Errorf("the phone rang %d times, want once", n)
	}
}
