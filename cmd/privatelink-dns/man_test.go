package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls visit for our commands, not for those of cobra.
func everyCommand(command *cobra.Command, visit func(*cobra.Command)) {
	if command.Name() == "completion" || command.Name() == "help" {
		return
	}
	visit(command)
	for _, below := range command.Commands() {
		everyCommand(below, visit)
	}
}

// leading is how an example may begin: what is piped into a command, or run before it.
var leading = regexp.MustCompile(`^.*?\bprivatelink-dns `)

// word is a word of a command line, in quotes or not.
var word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

// argumentsOf are those of the first command of ours in an example.
func argumentsOf(example string) []string {
	var arguments []string
	for _, each := range word.FindAllString(leading.ReplaceAllString(example, ""), -1) {
		if slices.Contains([]string{"|", ">", "&&", "#"}, each) {
			break
		}
		arguments = append(arguments, strings.Trim(each, `'"`))
	}
	return arguments
}

// Every command tells what it is for, and its examples are command lines that it takes.
func TestEveryCommandIsDocumented(t *testing.T) {
	everyCommand(newRootCommand(), func(command *cobra.Command) {
		path := command.CommandPath()
		if command.Short == "" || len(strings.Fields(command.Long)) < 8 || command.Example == "" {
			t.Errorf("%s has the text %q, the long text %q and the example %q, want all three", path, command.Short, command.Long, command.Example)
		}
		for example := range strings.Lines(command.Example) {
			if !strings.Contains(example, path) && command.HasParent() {
				t.Errorf("%s has the example %q, want one of itself", path, example)
			}
			found, rest, err := newRootCommand().Find(argumentsOf(example))
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err == nil {
				err = found.ValidateFlagGroups()
			}
			if err != nil || !found.Runnable() {
				t.Errorf("%s does not take its example %q: %v", path, strings.TrimSpace(example), err)
			}
		}
	})
}

// What prints data can print it for programs.
func TestDataCanBeJSON(t *testing.T) {
	exempt := []string{"privatelink-dns", "serve", "version", "man"}
	everyCommand(newRootCommand(), func(command *cobra.Command) {
		has := command.Flag("json") != nil
		if has == slices.Contains(exempt, command.Name()) {
			t.Errorf("%s has --json: %v", command.CommandPath(), has)
		}
	})
}

func TestManualIsThatOfTheHelp(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1772323200")
	t.Setenv("SUDO_USER", "kim")
	directory := filepath.Join(t.TempDir(), "share", "man1")
	if got := run(t, "man", directory); got.code != 0 || got.out != "" || got.err != "" {
		t.Fatalf("man = %+v, want code 0 and nothing said", got)
	}
	everyCommand(newRootCommand(), func(command *cobra.Command) {
		name := strings.ReplaceAll(command.CommandPath(), " ", "-")
		contents, err := os.ReadFile(filepath.Join(directory, name+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		page := string(contents)
		if !strings.HasPrefix(page, ".nh\n.TH \""+strings.ToUpper(name)+`" "1" "Mar 2026"`) || strings.Contains(page, "kim") {
			t.Errorf("%s begins with %.80q, want its own title and date, and nobody's name in it", name, page)
		}
		shown := words(page)
		flags := regexp.MustCompile(`(?m)^ .{5}--[a-z-]+`).FindAllString(command.LocalFlags().FlagUsages(), -1)
		for expected := range words(command.Short + " " + command.Long + " " + command.Example + " " + strings.Join(flags, " ")) {
			if !shown[expected] {
				t.Errorf("%s lacks %q of the help", name, expected)
			}
		}
	})
	before, err := os.ReadFile(filepath.Join(directory, "privatelink-dns-import.1"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), ".EX\n  bind           named.conf, or parts of it\n") {
		t.Errorf("the page of import fills its table:\n%s", before)
	}
	if got := run(t, "man", filepath.Join(directory, "privatelink-dns.1")); got.code != codeFailed || !strings.Contains(got.err, "making the directory of the manual pages") {
		t.Errorf("man into a file = %+v, want code 1 and what was wrong", got)
	}
}

// cobra writes --json[=false] and --as="", which nobody types.
func TestManualTellsFlagsAsTheyAreTyped(t *testing.T) {
	directory := t.TempDir()
	if got := run(t, "man", directory); got.code != 0 {
		t.Fatalf("man = %+v, want code 0", got)
	}
	pages, err := filepath.Glob(filepath.Join(directory, "*.1"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v, want one a command", len(pages), err)
	}
	for _, path := range pages {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strange := regexp.MustCompile(`(?m)^.*--[a-z-]+(?:\\fP)?\[?=.*`).FindString(optionsOf(string(page))); strange != "" {
			t.Errorf("%s tells a flag as %q, want it as on a command line", filepath.Base(path), strange)
		}
		want := "\\fB--for\\fP \\fIduration\\fP (default 4h)\n\thow long, 1m to 30d"
		if filepath.Base(path) == "privatelink-dns-override-add.1" && (!strings.Contains(string(page), want) || !strings.Contains(string(page), "\n\\fB--json\\fP\n")) {
			t.Errorf("the page of override add is\n%s\nwant %q in it, and --json without a value", page, want)
		}
	}
}

// optionsOf is what a page says of flags.
func optionsOf(page string) string {
	_, options, _ := strings.Cut(page, "\n.SH OPTIONS")
	options, _, _ = strings.Cut(options, "\n.SH EXAMPLE")
	return options
}

// words are the words of a text, or of a page without what steers its setting.
func words(text string) map[string]bool {
	found := map[string]bool{}
	text = strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\fB`, "", `\fP`, "", `\fR`, "", `\fI`, "", `\&`, "", `\\`, `\`, `\e`, `\`).Replace(text)
	for _, each := range strings.Fields(text) {
		flag, _, _ := strings.Cut(each, "=") // of --config="", too
		found[strings.Trim(each, ",.;:[]()")], found[strings.Trim(flag, ",[")] = true, true
	}
	return found
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := run(t, "completion", shell); got.code != 0 || !strings.Contains(got.out, "privatelink-dns") || !strings.Contains(got.out, "__complete") {
			t.Errorf("completion %s ends with %d and prints %d bytes, want a script that asks the program", shell, got.code, len(got.out))
		}
	}
}

func TestAMisspeltCommandIsAnError(t *testing.T) {
	for _, tc := range []struct{ arguments, want string }{
		{"zones lst", `found "lst" after "privatelink-dns zones", expected one of diff, list, show`},
		{"cache clear", "expected one of flush, get, stats"},
		{"override drop", "expected one of add, list, remove"},
		{"explian x", `unknown command "explian"`},
	} {
		if got := run(t, strings.Fields(tc.arguments)...); got.code != codeFailed || got.out != "" || !strings.Contains(got.err, tc.want) {
			t.Errorf("%s = %+v, want code 1 and %q", tc.arguments, got, tc.want)
		}
	}
}
