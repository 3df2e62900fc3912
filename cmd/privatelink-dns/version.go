package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the build (-ldflags "-X main.release=v1.2.3").
var release string

// version returns the release, or the commit this binary was built from, with
// the versions of Go and CoreDNS in it.
func version() string {
	built, coredns := release, "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return built
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && built == "" {
			built = "commit " + setting.Value
		}
	}
	if built == "" {
		built = "development build"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == "github.com/coredns/coredns" {
			coredns = dependency.Version
		}
	}
	return fmt.Sprintf("%s (CoreDNS %s, %s, %s/%s)", built, coredns, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program, of CoreDNS and of Go",
		Long: "Print the release, or the commit that this program was built from, with the versions of CoreDNS and of Go in\n" +
			"it, and the system that it was built for.",
		Example: "  privatelink-dns version",
		Args:    cobra.NoArgs,
		Run: func(command *cobra.Command, _ []string) {
			fmt.Fprintln(command.OutOrStdout(), "privatelink-dns", version())
		},
	}
}
