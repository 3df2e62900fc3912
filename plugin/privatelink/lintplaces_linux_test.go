package privatelink

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLintPlaces(t *testing.T) {
	unwritable := "/proc/self" // not even by root
	tests := []struct {
		name, line string
		want       []string
	}{
		{"made by the server", "state new/below/it", nil},
		{"below a file", "state file/state", []string{"state-place error"}},
		{"that cannot be made", "state " + unwritable + "/state", []string{"state-place warning"}},
		{"a log in a directory that is not there", "querylog nowhere/q.log", []string{"querylog-place warning"}},
		{"a log in a directory that cannot be written", "querylog " + unwritable + "/q.log", []string{"querylog-place warning"}},
		{"a log that is a directory", "querylog ./there", []string{"querylog-place error"}},
		{"a log below a file", "querylog file/q.log", []string{"querylog-place error"}},
		{"a log", "querylog there/q.log", nil},
		{"a secret for everybody", "cookies everybody", []string{"cookies-readable warning"}},
		{"a secret for a group", "cookies group", nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			remarks := lintPlacesOf(t, tc.line)
			var got []string
			for _, remark := range remarks {
				if word := map[Severity]string{Fault: "error", Warning: "warning"}[remark.Severity]; remark.Code != "no-state" {
					got = append(got, remark.Code+" "+word)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("Lint of %q = %q, want %q", tc.line, remarks, tc.want)
			}
		})
	}
}

// lintPlacesOf lints a Corefile with a line, in a directory with some files, and sees
// that nothing is made there.
func lintPlacesOf(t *testing.T, line string) []Remark {
	t.Helper()
	directory := t.TempDir()
	text := ". {\nprivatelink {\nupstream corp 10.10.0.4\nroute . corp\n" + line + "\n}\n}\n"
	secret := "000102030405060708090a0b0c0d0e0f\n"
	for name, mode := range map[string]os.FileMode{"Corefile": 0o600, "file": 0o600, "everybody": 0o644, "group": 0o640} {
		content := map[bool]string{true: text, false: secret}[name == "Corefile"]
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(directory, name), mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(directory, "there"), 0o700); err != nil {
		t.Fatal(err)
	}
	stanzas, err := ReadStanzas(filepath.Join(directory, "Corefile"), nil)
	if err != nil {
		t.Fatal(err)
	}
	remarks, err := Lint(stanzas, aMachine())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{directory: 5, filepath.Join(directory, "there"): 0} {
		if left, err := os.ReadDir(path); err != nil || len(left) != want {
			t.Errorf("after Lint %s has %d entries, %v; want %d", path, len(left), err, want)
		}
	}
	return remarks
}
