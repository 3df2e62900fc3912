package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// adminClient asks the running server through the socket in its state directory.
type adminClient struct {
	state  string
	asJSON bool
}

func (c *adminClient) addFlags(command *cobra.Command) {
	command.PersistentFlags().StringVar(&c.state, "state", "/var/lib/privatelink-dns", "the state directory of the running server, as in its Corefile")
	command.PersistentFlags().BoolVar(&c.asJSON, "json", false, "print JSON")
}

// do asks, and reads the reply into answer. With --json it prints the reply, too, and
// returns true.
func (c *adminClient) do(out io.Writer, method, path string, answer any) (printed bool, err error) {
	return c.send(out, method, path, nil, answer)
}

// send is do with a body.
func (c *adminClient) send(out io.Writer, method, path string, body io.Reader, answer any) (printed bool, err error) {
	socket := filepath.Join(c.state, privatelink.AdminSocket)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(context.Background(), method, "http://admin"+path, body)
	if err != nil {
		return false, err
	}
	reply, err := client.Do(request)
	if err != nil {
		return false, c.unreachable(socket, errors.Unwrap(err))
	}
	defer func() { _ = reply.Body.Close() }()
	said, err := io.ReadAll(reply.Body)
	switch {
	case err != nil:
		return false, err
	case reply.StatusCode != http.StatusOK:
		return false, errors.New(strings.TrimSpace(string(said)))
	case c.asJSON:
		_, err = out.Write(said)
	}
	return c.asJSON, errors.Join(err, json.Unmarshal(said, answer))
}

// unreachable says what to do about a server that did not answer.
func (c *adminClient) unreachable(socket string, err error) error {
	advice := fmt.Sprintf("is it running, with \"state %s\" in its Corefile? --state names another directory", c.state)
	switch {
	case errors.Is(err, fs.ErrPermission):
		advice = "only root and the user that the server runs as may; try it with sudo"
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "the server that made this socket does not run any more; start it, for what is asked here is in its memory"
	}
	return fmt.Errorf("asking the running server at %s: %w; %s", socket, err, advice)
}

func newCacheCommand() *cobra.Command {
	client := &adminClient{}
	command := &cobra.Command{
		Use: "cache", Short: "Look at the kept answers of the running server, or forget them",
		Long: "Look at the answers that the running server keeps, or have it forget some, through the socket in its state\n" +
			"directory. It takes the user that the server runs as, or root.",
		Example: "  privatelink-dns cache stats\n" +
			"  privatelink-dns cache get db1.database.windows.net\n" +
			"  privatelink-dns cache flush --suffix database.windows.net",
		RunE: runGroup,
	}
	client.addFlags(command)
	command.AddCommand(newCacheStatsCommand(client), newCacheGetCommand(client), newCacheFlushCommand(client))
	return command
}

func newCacheStatsCommand(client *adminClient) *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Count what is kept and how it was used", Args: cobra.NoArgs,
		Long:    "Count the answers that are kept, how many questions found one, and why others are gone, since the server started.",
		Example: "  privatelink-dns cache stats\n  privatelink-dns cache stats --json",
		RunE: func(command *cobra.Command, _ []string) error {
			var stats cache.Stats
			if printed, err := client.do(command.OutOrStdout(), http.MethodGet, "/cache/stats", &stats); printed || err != nil {
				return err
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(table, "kept\t%d answers, %d failures, %d bytes\n", stats.Entries, stats.Failures, stats.Bytes)
			fmt.Fprintf(table, "found\t%d fresh, %d about to expire, %d stale, %d failed\n", stats.Fresh, stats.Due, stats.Stale, stats.Failed)
			fmt.Fprintf(table, "not found\t%d\n", stats.Missed)
			fmt.Fprintf(table, "gone\t%d for room, %d expired, %d flushed\n", stats.EvictedByEntries+stats.EvictedByBytes, stats.Expired, stats.Flushed)
			return table.Flush()
		},
	}
}

func newCacheGetCommand(client *adminClient) *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show what is kept for a name", Args: cobra.ExactArgs(1),
		Long: "Show what is kept for a name under all types, how long it is fresh, and how long it is of use while no upstream\n" +
			"answers. Ends with 1 where nothing is kept.",
		Example:           "  privatelink-dns cache get db1.database.windows.net",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, arguments []string) error {
			var kept []privatelink.KeptAnswer
			printed, err := client.do(command.OutOrStdout(), http.MethodGet, "/cache/answers?name="+url.QueryEscape(arguments[0]), &kept)
			if err == nil && len(kept) == 0 {
				err = fmt.Errorf("nothing is kept for %s", arguments[0])
			}
			if printed || err != nil {
				return err
			}
			for _, answer := range kept {
				printKept(command.OutOrStdout(), answer)
			}
			return nil
		},
	}
}

// printKept writes a kept answer with its records, or a failure with its reason.
func printKept(out io.Writer, answer privatelink.KeptAnswer) {
	if answer.Reason != "" {
		fmt.Fprintf(out, "%s %s: %s, told for %s: %s\n", bareName(answer.Name), answer.Type, answer.Kind, max(time.Until(answer.Expires), 0).Round(100*time.Millisecond), answer.Reason)
		return
	}
	fmt.Fprintf(out, "%s %s: %s, fresh for %s, of use for %s\n", bareName(answer.Name), answer.Type, answer.Kind, left(answer.Expires), left(answer.StaleUntil))
	for _, record := range answer.Records {
		fmt.Fprintln(out, "  "+record)
	}
}

// left is how long it is until a moment, none where it has passed.
func left(until time.Time) time.Duration {
	return max(time.Until(until), 0).Truncate(time.Second)
}

func newCacheFlushCommand(client *adminClient) *cobra.Command {
	var suffix bool
	command := &cobra.Command{
		Use: "flush NAME", Short: "Forget the answers for a name, or for a suffix and all below it", Args: cobra.ExactArgs(1),
		Long: "Forget the answers for a name, under all types, so that the next question is asked upstream: after a private\n" +
			"endpoint was created or moved. Answers for other names go, too, where their chain of CNAMEs leads through it:\n" +
			"the private name takes its public name along. NAME is whole, with or without its final dot. Clients and\n" +
			"resolvers keep what they were told for as long as its TTL says.",
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "  privatelink-dns cache flush db1.database.windows.net\n  privatelink-dns cache flush --suffix database.windows.net",
		RunE: func(command *cobra.Command, arguments []string) error {
			var flushed privatelink.Flushed
			path := fmt.Sprintf("/cache/answers?name=%s&suffix=%t", url.QueryEscape(arguments[0]), suffix)
			if printed, err := client.do(command.OutOrStdout(), http.MethodDelete, path, &flushed); printed || err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), describeFlushed(flushed, bareName(arguments[0]), suffix))
			return nil
		},
	}
	command.Flags().BoolVar(&suffix, "suffix", false, "the name and everything below it")
	return command
}

// describeFlushed says what became of a flush.
func describeFlushed(flushed privatelink.Flushed, name string, suffix bool) string {
	switch {
	case flushed.Removed == 0 && suffix:
		return "nothing to forget: no answer is kept for " + name + " or a name below it, and no chain leads there"
	case flushed.Removed == 0:
		return "nothing to forget: no answer is kept for " + name + ", and no chain leads there; --suffix takes the names below it, too"
	case flushed.Through == flushed.Removed:
		return plural(flushed.Removed, "answer") + " forgotten, for other names whose chain leads there"
	case flushed.Through > 0:
		return fmt.Sprintf("%s forgotten, %d of them for other names whose chain leads there", plural(flushed.Removed, "answer"), flushed.Through)
	}
	return plural(flushed.Removed, "answer") + " forgotten"
}
