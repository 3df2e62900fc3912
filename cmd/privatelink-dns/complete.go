package main

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// The shell completes words by these. What they ask may not be there: then there is
// nothing to propose, and nothing to say.

// questionTypes are those that people ask for.
var questionTypes = []string{"A", "AAAA", "HTTPS", "SRV", "SOA", "TXT", "PTR"}

// completeQuestion proposes the type behind a name.
func completeQuestion(_ *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) == 1 {
		return questionTypes, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeOverride proposes the type behind a name, and behind resolve the groups of the
// running server.
func (c *adminClient) completeOverride(_ *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(arguments) == 1:
		return []string{override.TypeA, override.TypeAAAA, override.TypeCNAME, override.TypeResolve}, cobra.ShellCompDirectiveNoFileComp
	case len(arguments) == 2 && strings.EqualFold(arguments[1], override.TypeResolve):
		return c.groups(), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// groups are the upstream groups of the running server.
func (c *adminClient) groups() []string {
	var states []privatelink.UpstreamState
	if _, err := (&adminClient{state: c.state}).do(io.Discard, http.MethodGet, "/upstreams", &states); err != nil {
		return nil
	}
	var names []string
	for _, state := range states {
		for _, group := range state.Groups {
			names = append(names, group.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// completeOverridden proposes the names that are overridden.
func (c *adminClient) completeOverridden(_ *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
	var list []override.Override
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if _, err := (&adminClient{state: c.state}).do(io.Discard, http.MethodGet, "/overrides", &list); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, each := range list {
		names = append(names, bareName(each.Name)+"\t"+shownAnswer(&each))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeStanza proposes the places of the stanzas in the Corefile of --config.
func completeStanza(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var places []string
	if path, err := command.Flags().GetString("config"); err == nil {
		stanzas, _ := privatelink.ReadStanzas(path, directives())
		for _, stanza := range stanzas {
			places = append(places, stanza.Where())
		}
	}
	return places, cobra.ShellCompDirectiveNoFileComp
}
