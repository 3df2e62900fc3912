//go:build linux

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const unitFile = "deploy/systemd/privatelink-dns.service"

// highestExposure is what `systemd-analyze security` may say of the unit.
const highestExposure = 2.0

// systemdAnalyze runs the tool, which needs no systemd that runs.
func systemdAnalyze(t *testing.T, arguments ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("CI=true allows no skipping: %v", err)
	} else if err != nil {
		t.Skip(err)
	}
	said, err := exec.Command(path, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", strings.Join(arguments, " "), err, said)
	}
	return string(said)
}

func TestUnitLeavesLittleToAnAttacker(t *testing.T) {
	said := systemdAnalyze(t, "security", "--offline=yes", "--no-pager", filepath.Join(root, unitFile))
	found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("found no exposure level in:\n%s", said)
	}
	exposure, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	if exposure > highestExposure {
		t.Errorf("systemd-analyze security: exposure is %v, want %v at most\n%s", exposure, highestExposure, said)
	}
}

func TestUnitSaysWhatItMust(t *testing.T) {
	settings := unitSettings(t)
	for key, want := range map[string][]string{
		"Type":                  {"exec"},
		"DynamicUser":           {"yes"},
		"AmbientCapabilities":   {"CAP_NET_BIND_SERVICE"},
		"CapabilityBoundingSet": {"CAP_NET_BIND_SERVICE"},
		"StateDirectory":        {"privatelink-dns"},
		"ProtectSystem":         {"strict"},
		"ExecReload":            {"/bin/kill -HUP $MAINPID"},
		"Restart":               {"always"},
	} {
		if got := settings[key]; !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
}

// unitSettings returns the values of each setting of the unit.
func unitSettings(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, unitFile))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		key, value, isSetting := strings.Cut(strings.TrimSpace(line), "=")
		if isSetting && !strings.HasPrefix(line, "#") {
			settings[key] = append(settings[key], value)
		}
	}
	return settings
}

// permitted returns the system calls that the unit's filter lets through.
func permitted(t *testing.T) map[string]bool {
	t.Helper()
	calls := map[string]bool{}
	for _, value := range unitSettings(t)["SystemCallFilter"] {
		denied := strings.HasPrefix(value, "~")
		for _, word := range strings.Fields(strings.TrimPrefix(value, "~")) {
			for _, call := range callsOf(t, word) {
				calls[call] = !denied
			}
		}
	}
	return calls
}

// callsOf returns the system calls that a word of a filter stands for: a call or a group.
func callsOf(t *testing.T, word string) []string {
	t.Helper()
	if !strings.HasPrefix(word, "@") {
		return []string{word}
	}
	var calls []string
	for line := range strings.Lines(systemdAnalyze(t, "syscall-filter", "--no-pager", word)) {
		line = strings.TrimSpace(line)
		if line != "" && line != word && !strings.HasPrefix(line, "#") {
			calls = append(calls, callsOf(t, line)...)
		}
	}
	return calls
}
