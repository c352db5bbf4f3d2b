package claude_test

import (
	"os"
	"strings"
	"testing"

	"watchkeeper/doctor"
)

// TestDoctorReadsVersionAndLoginOfTheCLI shows that the real CLI tells both
// without a network and without a turn.
func TestDoctorReadsVersionAndLoginOfTheCLI(t *testing.T) {
	for login, want := range map[string]doctor.Level{
		"":                              doctor.Wrong,
		"ANTHROPIC_API_KEY=dummy":       doctor.OK,
		"CLAUDE_CODE_OAUTH_TOKEN=dummy": doctor.OK,
	} {
		p := doctor.Programs{
			Claude: cli(t), Mode: "stream",
			Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DISABLE_TELEMETRY=1", "DISABLE_AUTOUPDATER=1", login},
		}
		levels := map[string]doctor.Finding{}
		for _, f := range p.Examine(within(t)) {
			levels[f.What] = f
		}
		if f := levels["claude"]; f.Level != doctor.OK || !strings.Contains(f.Detail, "is "+doctor.TestedCLI) {
			t.Errorf("claude = %+v, want version %s, which package.json pins", f, doctor.TestedCLI)
		}
		if f := levels["login"]; f.Level != want {
			t.Errorf("with %q, login = %+v, want %s", login, f, want)
		}
	}
}
