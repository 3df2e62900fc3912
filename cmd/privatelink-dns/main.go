// Command privatelink-dns is the DNS resolver and forwarder a company runs for
// its private endpoints in a hybrid network: CoreDNS with the privatelink
// plugin, and the tools to operate it.
package main

import (
	"fmt"
	"os"

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
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newCacheCommand(), newUpstreamsCommand(), newOverrideCommand(), newVersionCommand())
	root.AddCommand(newForwardersCommand(), newZonesCommand(), newImportCommand(), newExplainCommand(), newReportCommand(), newCheckCommand(), newDoctorCommand(), newReplayCommand())
	return root
}
