package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// tellUsage has a command, and all below it, say how it is used where the number of its
// arguments is wrong. By itself cobra only counts them.
func tellUsage(command *cobra.Command) {
	for _, below := range command.Commands() {
		tellUsage(below)
	}
	accepts := command.Args
	if accepts == nil {
		return
	}
	command.Args = func(command *cobra.Command, arguments []string) error {
		if accepts(command, arguments) == nil {
			return nil
		}
		found := "no argument"
		if len(arguments) > 0 {
			found = fmt.Sprintf("%q", strings.Join(arguments, " "))
		}
		advice := "--help has examples"
		if takesNone := accepts(command, nil) == nil; takesNone && command.Flags().Lookup("config") != nil {
			advice = "name the Corefile with -c FILE"
		}
		expected := strings.TrimSuffix(command.UseLine(), " [flags]")
		return fmt.Errorf("found %s, expected %q; %s", found, expected, advice)
	}
}
