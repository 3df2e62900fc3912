package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// unlessUp is nil where every server is up.
func unlessUp(states []privatelink.UpstreamState) error {
	if slices.ContainsFunc(states, func(state privatelink.UpstreamState) bool { return state.State != "up" }) {
		return findingError("")
	}
	return nil
}

// milliseconds is "-" for a server that never replied.
func milliseconds(seconds float64) string {
	if seconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", seconds*1000)
}

func newUpstreamsCommand() *cobra.Command {
	client := &adminClient{}
	command := &cobra.Command{
		Use: "upstreams", Short: "Show the health, latency and load of each upstream server", Args: cobra.NoArgs,
		Long: "Show of each upstream server of the running server its group and tier there (1 is asked first, the others are\n" +
			"backups), whether it is up, its smoothed round trip and what 95 of 100 stay within, what it is sent each\n" +
			"second, and how many questions wait for its budget or were refused for it. Ends with 0 where all are up, 2\n" +
			"where one is not.",
		Example: "  privatelink-dns upstreams\n  privatelink-dns upstreams --json | jq -r '.[] | select(.state != \"up\") | .server'",
		RunE: func(command *cobra.Command, _ []string) error {
			var states []privatelink.UpstreamState
			printed, err := client.do(command.OutOrStdout(), http.MethodGet, "/upstreams", &states)
			if err != nil {
				return err
			}
			if printed {
				return unlessUp(states)
			}
			return errors.Join(printUpstreams(command.OutOrStdout(), states), unlessUp(states))
		},
	}
	client.addFlags(command)
	return command
}

func printUpstreams(out io.Writer, states []privatelink.UpstreamState) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tGROUP\tTIER\tSTATE\tROUND TRIP\tP95\tQUERIES/S\tOUTSTANDING\tWAITING\tREFUSED")
	for _, state := range states {
		groups, tiers := describeGroups(state.Groups)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", state.Server, groups, tiers, state.State,
			milliseconds(state.RTTSeconds), milliseconds(state.P95Seconds), state.PerSecond, state.Outstanding, state.Waiting, state.Refused)
	}
	return table.Flush()
}

// describeGroups are the names of groups and a server's tiers in them, in the same order.
func describeGroups(groups []privatelink.UpstreamGroup) (names, tiers string) {
	var written, numbers []string
	for _, group := range groups {
		written = append(written, group.Name)
		tier := strconv.Itoa(group.Tier)
		if group.Tier > 1 {
			tier += " (backup)"
		}
		numbers = append(numbers, tier)
	}
	return strings.Join(written, ", "), strings.Join(numbers, ", ")
}
