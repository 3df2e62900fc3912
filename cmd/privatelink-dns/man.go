package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
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
	return nil
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
