//go:build linux

package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The steps that install the unit take files that are there, and put them where the unit
// looks for them.
func TestStepsInstallWhatTheUnitStarts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "deploy/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	installed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "sudo" || words[1] != "install" {
			continue
		}
		from, to := words[len(words)-2], words[len(words)-1]
		if strings.HasSuffix(to, "/") {
			to += filepath.Base(from)
		} else if !slices.Contains(words, "-D") {
			t.Errorf("%q makes no directory for %s", strings.TrimSpace(line), to)
		}
		installed[to] = from
		if _, err := os.Stat(filepath.Join(root, from)); err != nil && from != "bin/privatelink-dns" { // which make build writes
			t.Errorf("%q takes what is not there: %v", strings.TrimSpace(line), err)
		}
	}
	start := strings.Fields(strings.Join(unitSettings(t)["ExecStart"], " "))
	for path, want := range map[string]string{
		start[0]: "bin/privatelink-dns", start[len(start)-1]: "Corefile.example",
		"/etc/systemd/system/privatelink-dns.service": unitFile,
	} {
		if installed[path] != want {
			t.Errorf("the steps put %q at %s, want %q", installed[path], path, want)
		}
	}
}
