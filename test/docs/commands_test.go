package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsPrintWhatTheReadmeShows runs the console blocks of the README in
// their order; `make run` goes on until the last one has run.
func TestCommandsPrintWhatTheReadmeShows(t *testing.T) {
	needTools(t, "make", "dig")
	ran := 0
	for _, one := range ofLanguage(blocks(t, "README.md"), "console") {
		for _, shown := range commandsOf(one) {
			command := exec.Command("sh", "-c", shown.command)
			command.Dir = root
			if shown.command == "make run" {
				start(t, command)
				continue
			}
			output, err := command.CombinedOutput()
			if err != nil {
				t.Errorf("README.md:%d: %s: %v\n%s", one.line, shown.command, err, output)
			}
			if got, want := normalise(string(output)), normalise(shown.output); got != want {
				t.Errorf("README.md:%d: %s printed\n%s\nwant\n%s", one.line, shown.command, got, want)
			}
			ran++
		}
	}
	if ran < 3 {
		t.Errorf("ran %d commands of the README, expected more", ran)
	}
}

var field = regexp.MustCompile(`\.([a-z_]+)`)

// TestTheTableHasFieldsOfTheQueryLog holds what the README asks jq for against the
// record's fields; by itself jq prints nothing for one that does not exist.
func TestTheTableHasFieldsOfTheQueryLog(t *testing.T) {
	record, err := os.ReadFile(filepath.Join(root, "plugin", "querylog", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, one := range blocks(t, "README.md") {
		before, filter, found := strings.Cut(one.text, "| jq ")
		if !found {
			continue
		}
		if !strings.Contains(before, "make -s run ") {
			t.Errorf("README.md:%d: jq reads %q, want make -s: the lines that make echoes are no JSON", one.line, before)
		}
		for _, asked := range field.FindAllStringSubmatch(filter, -1) {
			if fields++; !strings.Contains(string(record), "`"+asked[1]+"`") {
				t.Errorf("README.md:%d: jq is asked for %q, which is no field of the query log", one.line, asked[1])
			}
		}
	}
	if fields < 5 {
		t.Errorf("found %d fields in the README's table, expected more", fields)
	}
}

type shownCommand struct{ command, output string }

func commandsOf(one block) []shownCommand {
	var found []shownCommand
	for line := range strings.Lines(one.text) {
		if command, isCommand := strings.CutPrefix(line, "$ "); isCommand {
			found = append(found, shownCommand{command: strings.TrimSpace(command)})
		} else if len(found) > 0 {
			found[len(found)-1].output += line
		}
	}
	return found
}

var (
	spaces    = regexp.MustCompile(`[ \t]+`)
	queryID   = regexp.MustCompile(`id: \d+`)
	blankLine = regexp.MustCompile(`\n+`)
)

// normalise takes away what differs from run to run and what only aligns.
func normalise(output string) string {
	output = queryID.ReplaceAllString(spaces.ReplaceAllString(output, " "), "id: 0")
	return strings.TrimSpace(blankLine.ReplaceAllString(output, "\n"))
}

// TestOtherServersAcceptTheirConfigurations hands each snippet to the server it
// is for.
func TestOtherServersAcceptTheirConfigurations(t *testing.T) {
	checkers := []struct {
		language string
		tool     string
		check    func(file string) *exec.Cmd
	}{
		{"named", "named-checkconf", func(file string) *exec.Cmd { return exec.Command("named-checkconf", file) }},
		{"unbound", "unbound-checkconf", func(file string) *exec.Cmd { return exec.Command("unbound-checkconf", file) }},
		{"dnsmasq", "dnsmasq", func(file string) *exec.Cmd { return exec.Command("dnsmasq", "--test", "-C", file) }},
	}
	all := blocks(t, "README.md")
	for _, checker := range checkers {
		t.Run(checker.language, func(t *testing.T) {
			needTools(t, checker.tool)
			snippets := ofLanguage(all, checker.language)
			if len(snippets) == 0 {
				t.Fatalf("README.md shows no configuration for %s", checker.language)
			}
			for _, snippet := range snippets {
				file := filepath.Join(t.TempDir(), checker.language+".conf")
				if err := os.WriteFile(file, []byte(snippet.text), 0o600); err != nil {
					t.Fatal(err)
				}
				if output, err := checker.check(file).CombinedOutput(); err != nil {
					t.Errorf("README.md:%d: %s: %v\n%s", snippet.line, checker.tool, err, output)
				}
			}
		})
	}
}

// needTools fails where a tool is missing: a document that was not tried is not
// tested.
func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(fmt.Sprintf("%s is not installed: make tools installs it", tool))
		}
	}
}
