package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

func newOverrideCommand() *cobra.Command {
	client := &adminClient{}
	command := &cobra.Command{
		Use: "override", Short: "Answer a name otherwise for a while, whatever DNS says",
		Long: "override makes the running server answer one exact name as you say, for a while: with addresses, with a\n" +
			"CNAME, or with what another upstream group says. It survives a restart and ends by itself.",
		Example: "  privatelink-dns override add db1.database.windows.net A 10.0.2.4 --for 4h --reason INC42\n" +
			"  privatelink-dns override list\n" +
			"  privatelink-dns override remove db1.database.windows.net",
		RunE: runGroup,
	}
	client.addFlags(command)
	command.AddCommand(newOverrideAddCommand(client), newOverrideListCommand(client), newOverrideRemoveCommand(client))
	return command
}

func newOverrideAddCommand(client *adminClient) *cobra.Command {
	var request privatelink.OverrideRequest
	lasts := duration(override.DefaultDuration)
	command := &cobra.Command{
		Use: "add NAME A|AAAA|CNAME VALUE... | NAME resolve GROUP", Short: "Answer a name otherwise", Args: cobra.MinimumNArgs(3),
		Long: "add answers NAME with addresses, with a CNAME, or with what the upstream group GROUP says of it. Questions for\n" +
			"other types of the name have no data; A and AAAA can both be given, one after the other. The last change is in force.",
		Example: "  privatelink-dns override add db1.database.windows.net A 10.0.2.4 --for 4h --reason INC42\n" +
			"  privatelink-dns override add db1.database.windows.net resolve public --for 30m --reason \"the endpoint is gone\"",
		ValidArgsFunction: client.completeOverride,
		RunE: func(command *cobra.Command, arguments []string) error {
			if strings.TrimSpace(request.Reason) == "" {
				return errors.New("found no --reason, expected why, such as --reason INC42: it is told with every answer")
			}
			request.Name, request.Type, request.Values = arguments[0], arguments[1], arguments[2:]
			request.For, request.As = time.Duration(lasts).String(), whoever(request.As)
			body, err := json.Marshal(request)
			if err != nil {
				return err
			}
			var change privatelink.OverrideChange
			if printed, err := client.send(command.OutOrStdout(), http.MethodPost, "/overrides", bytes.NewReader(body), &change); printed || err != nil {
				return err
			}
			added := change.Override
			fmt.Fprintf(command.OutOrStdout(), "%s is answered with %s until %s (%s)\n", bareName(added.Name), shownAnswer(added), added.Expires.Local().Format("2006-01-02 15:04:05 MST"), durationText(added.Expires.Sub(added.Created)))
			if change.Replaced != nil {
				fmt.Fprintf(command.OutOrStdout(), "in place of %s, by %s: %s\n", shownAnswer(change.Replaced), change.Replaced.Who, change.Replaced.Reason)
			}
			return warn(command.ErrOrStderr(), change)
		},
	}
	command.Flags().Var(&lasts, "for", "how long, 1m to 30d, such as 90m, 4h, 3d or 2w")
	command.Flags().StringVar(&request.Reason, "reason", "", "why: it is logged, and told with every answer")
	addAsFlag(command, &request.As)
	return command
}

func addAsFlag(command *cobra.Command, as *string) {
	command.Flags().StringVar(as, "as", "", "who you are, beside the user that this runs as; the user behind sudo if left out")
	_ = command.RegisterFlagCompletionFunc("as", cobra.NoFileCompletions)
}

// whoever is the user behind sudo where nobody is named. It is no default of the flag,
// because the manual would name who made it.
func whoever(as string) string { return cmp.Or(as, os.Getenv("SUDO_USER")) }

func newOverrideListCommand(client *adminClient) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show the overrides in force", Args: cobra.NoArgs,
		Long:    "Show the overrides in force: what each answers, how long it lasts yet, who added it and why.",
		Example: "  privatelink-dns override list\n  privatelink-dns override list --json | jq -r '.[].name'",
		RunE: func(command *cobra.Command, _ []string) error {
			var list []override.Override
			if printed, err := client.do(command.OutOrStdout(), http.MethodGet, "/overrides", &list); printed || err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintln(command.OutOrStdout(), "no overrides")
				return nil
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tANSWER\tLEFT\tWHO\tREASON")
			for _, o := range list {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", bareName(o.Name), shownAnswer(&o), durationText(left(o.Expires)), o.Who, o.Reason)
			}
			return table.Flush()
		},
	}
}

func newOverrideRemoveCommand(client *adminClient) *cobra.Command {
	var as string
	command := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm", "delete"}, Short: "Answer a name as usual again", Args: cobra.ExactArgs(1),
		Long:              "End an override before its time. Clients that were told its answer may keep it for 30 seconds.",
		Example:           "  privatelink-dns override remove db1.database.windows.net",
		ValidArgsFunction: client.completeOverridden,
		RunE: func(command *cobra.Command, arguments []string) error {
			var change privatelink.OverrideChange
			path := fmt.Sprintf("/overrides/%s?as=%s", url.PathEscape(arguments[0]), url.QueryEscape(whoever(as)))
			if printed, err := client.do(command.OutOrStdout(), http.MethodDelete, path, &change); printed || err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s is answered as usual again; clients may keep %s for 30 s\n", bareName(change.Override.Name), shownAnswer(change.Override))
			return warn(command.ErrOrStderr(), change)
		},
	}
	addAsFlag(command, &as)
	return command
}

// shownAnswer is the answer for people. Only that of a CNAME ends with a name.
func shownAnswer(o *override.Override) string { return bareName(o.Answer()) }

// warn tells of a change that is in force and will not survive a restart.
func warn(out io.Writer, change privatelink.OverrideChange) error {
	if change.Warning == "" {
		return nil
	}
	_, err := fmt.Fprintln(out, "warning:", change.Warning)
	return err
}
