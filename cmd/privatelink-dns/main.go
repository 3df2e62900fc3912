// Command privatelink-dns is the DNS resolver and forwarder a company runs for
// its private endpoints in a hybrid network: CoreDNS with the privatelink
// plugin, and the tools to operate it.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func main() {
	if err := newRootCommand().Execute(); err != nil {
		if said := err.Error(); said != "" {
			fmt.Fprintln(os.Stderr, "privatelink-dns:", said)
		}
		os.Exit(exitCode(err))
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "privatelink-dns",
		Short: "DNS for private endpoints in a hybrid network",
		Long: "privatelink-dns forwards the public names of PaaS services to Azure-provided DNS, so that\n" +
			"machines on premises and in spoke networks resolve private endpoints to their private addresses.",
		Example: "  privatelink-dns check -c /etc/privatelink-dns/Corefile\n" +
			"  privatelink-dns serve -c /etc/privatelink-dns/Corefile\n" +
			"  privatelink-dns explain db1.database.windows.net",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newCacheCommand(), newUpstreamsCommand(), newOverrideCommand(), newVersionCommand())
	root.AddCommand(newForwardersCommand(), newZonesCommand(), newImportCommand(), newExplainCommand(), newReportCommand(), newCheckCommand(), newDoctorCommand(), newReplayCommand(), newAuditCommand(), newManCommand())
	tellUsage(root)
	return root
}

// runGroup is what a command does that has others below it and nothing to do itself. By
// itself cobra prints the help for a misspelt one, and ends as if all were well.
func runGroup(command *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return command.Help()
	}
	names := make([]string, 0, len(command.Commands()))
	for _, below := range command.Commands() {
		names = append(names, below.Name())
	}
	return fmt.Errorf("found %q after %q, expected one of %s", arguments[0], command.CommandPath(), strings.Join(names, ", "))
}
