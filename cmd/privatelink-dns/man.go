package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages of all commands",
		Long: "Write a manual page for each command, privatelink-dns-explain.1 for explain, into a directory, which is made\n" +
			"where it is missing. They say what --help says. A package is built with them so; where SOURCE_DATE_EPOCH\n" +
			"is set, they carry that date, and the same program writes the same pages.",
		Example: "  privatelink-dns man /usr/local/share/man/man1\n" +
			"  privatelink-dns man man && man -l man/privatelink-dns-explain.1",
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			return writeManual(command.Root(), arguments[0])
		},
	}
}

// writeManual writes a page for every command below root, and root's own.
func writeManual(root *cobra.Command, directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("making the directory of the manual pages: %w", err)
	}
	root.DisableAutoGenTag = true
	setOff(root)
	header := &doc.GenManHeader{Section: "1", Source: "privatelink-dns", Manual: "privatelink-dns"}
	if err := doc.GenManTree(root, header, directory); err != nil {
		return fmt.Errorf("writing the manual pages: %w", err)
	}
	return writeFlags(root, directory)
}

// flagLine is how cobra begins what it says of a flag: --json[=false], --state="DIR".
var flagLine = regexp.MustCompile(`(?m)^((?:\\fB-\w\\fP, )?\\fB--([a-z-]+)\\fP)(?:=.*|\[=.*\])$`)

// writeFlags writes the flags in the pages of a command and those below it as --help and
// every other manual do: --json, --state STRING.
func writeFlags(command *cobra.Command, directory string) error {
	path := filepath.Join(directory, strings.ReplaceAll(command.CommandPath(), " ", "-")+".1")
	page, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // hidden commands have none
		return err
	}
	if err == nil {
		told := flagLine.ReplaceAllFunc(page, func(line []byte) []byte {
			found := flagLine.FindSubmatch(line)
			return slices.Concat(found[1], []byte(describeFlag(command.Flag(string(found[2])))))
		})
		if err := os.WriteFile(path, told, 0o644); err != nil {
			return err
		}
	}
	for _, below := range command.Commands() {
		if err := writeFlags(below, directory); err != nil {
			return err
		}
	}
	return nil
}

// describeFlag is what stands behind the name of a flag: its value, and its default.
func describeFlag(flag *pflag.Flag) string {
	if flag == nil || flag.Value.Type() == "bool" {
		return ""
	}
	value, _ := pflag.UnquoteUsage(flag)
	described := ` \fI` + value + `\fP`
	if !slices.Contains([]string{"", "[]", "0"}, flag.DefValue) {
		described += " (default " + strings.Trim(flag.DefValue, "[]") + ")"
	}
	return described
}

// setOff makes literal blocks of the indented lines in the long texts of a command and
// those below it: the pages are made by way of Markdown, which would fill them.
func setOff(command *cobra.Command) {
	var text strings.Builder
	for line := range strings.Lines(command.Long) {
		if strings.HasPrefix(line, "  ") {
			text.WriteString("    ")
		}
		text.WriteString(line)
	}
	command.Long = text.String()
	for _, child := range command.Commands() {
		setOff(child)
	}
}
