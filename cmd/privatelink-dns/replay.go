package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
	"github.com/privatelink-dns/privatelink-dns/plugin/replay"
)

// replayOptions are the flags of the command replay.
type replayOptions struct {
	corefile, stanza string
	against          string
	client           string
	rate, limit, top int
	strict, asJSON   bool
	since, until     string
	namespaces       []string
	catalog          catalogFlags
}

// Without flags: a tenth of what 168.63.129.16 answers for a virtual machine, and a
// page or two of changes.
const (
	replayRate = 100
	replayTop  = 20
)

func newReplayCommand() *cobra.Command {
	options := &replayOptions{}
	command := &cobra.Command{
		Use:   "replay LOG... (--config COREFILE | --against ADDRESS)",
		Short: "Ask yesterday's questions again, and show the answers that change",
		Long: "Ask the questions of query logs of a new configuration, or of another DNS server, before the cut-over, and\n" +
			"show which answers change, the worst first: private addresses that become public. Each different question\n" +
			"is asked once, the most frequent first, and its answer is held against the last one in the log: rcode,\n" +
			"what the answer means, addresses in any order; TTLs do not matter. Of public answers the end of the chain is\n" +
			"compared, because their addresses rotate.\n\n" +
			"With --config nothing is served and no server needs to run: the configuration answers as it would, for the\n" +
			"client that asked, and its upstreams are asked from here, within their budgets. With --against all questions\n" +
			"come from this machine, so those that were decided by who asked, such as direct lookups, are left out.\n" +
			"Stopped by Ctrl-C, it shows what it has. Ends with 0 where nothing changes, 2 where something does.",
		Example: "  privatelink-dns replay /var/log/privatelink-dns/query.log --config Corefile.new\n" +
			"  privatelink-dns replay query.log query-*.log.gz -c Corefile.new --since 24h --rate 500\n" +
			"  privatelink-dns replay query.log --against 10.1.0.5 --namespace database.windows.net\n" +
			"  privatelink-dns replay query.log -c Corefile.new --json | jq -r '.changes[] | select(.kind == \"exposed\") | .name'",
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.run(command, arguments)
		},
	}
	options.addFlags(command)
	return command
}

func (o *replayOptions) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&o.corefile, "config", "c", "", "the new Corefile")
	flags.StringVar(&o.stanza, "stanza", "", "the place of the stanza, such as Corefile:3, where there are several")
	flags.StringVar(&o.against, "against", "", "a DNS server to ask instead; with a port if it is not 53")
	flags.StringVar(&o.client, "client", "127.0.0.1", "the client to ask as where the log does not show who asked")
	flags.IntVar(&o.rate, "rate", replayRate, fmt.Sprintf("how many questions are asked in a second, 1 to %d", replay.MaxRate))
	flags.IntVar(&o.limit, "limit", logreport.DefaultQuestions, "how many different questions are asked at most; each takes about 600 bytes of memory")
	flags.IntVar(&o.top, "top", replayTop, "how many changes of a kind are shown; --json has all")
	flags.BoolVar(&o.strict, "strict", false, "compare the addresses of public answers and the CNAMEs of all, too")
	flags.StringVar(&o.since, "since", "", "only what was asked from then on: a time such as 2026-03-01T12:00:00Z, or how long ago, such as 24h or 3d")
	flags.StringVar(&o.until, "until", "", "only what was asked until then, in the same forms")
	flags.StringSliceVar(&o.namespaces, "namespace", nil, "only these namespaces, or names below these suffixes")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	o.catalog.addFlags(command)
	command.MarkFlagsOneRequired("config", "against")
	command.MarkFlagsMutuallyExclusive("config", "against")
	command.MarkFlagsMutuallyExclusive("against", "stanza")
	for _, flag := range []string{"catalog", "include"} {
		command.MarkFlagsMutuallyExclusive("config", flag) // which names its own
	}
	_ = command.RegisterFlagCompletionFunc("stanza", completeStanza)
	for _, flag := range []string{"against", "client", "rate", "limit", "top", "since", "until", "namespace"} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}

func (o *replayOptions) run(command *cobra.Command, paths []string) error {
	settings, err := o.settings(time.Now())
	if err != nil {
		return err
	}
	respondent, err := o.respondent()
	if err != nil {
		return err
	}
	defer respondent.close()
	// Whoever has waited long enough gets what was found. A second signal ends the program.
	ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	questions, err := o.read(ctx, command, paths, settings, respondent)
	if err != nil {
		return err
	}
	result := o.ask(ctx, newProgressLine(command.ErrOrStderr()), questions.List, respondent)
	replayed := &replayed{options: o, logs: paths, of: respondent.name, questions: questions, result: result}
	return errors.Join(replayed.print(command.OutOrStdout()), replayed.ending())
}

// settings are the flags as the log is read by them.
func (o *replayOptions) settings(now time.Time) (logreport.Options, error) {
	settings := logreport.Options{Namespaces: o.namespaces}
	var mistakes [3]error
	settings.Since, mistakes[0] = parseMoment("--since", o.since, now)
	settings.Until, mistakes[1] = parseMoment("--until", o.until, now)
	for _, flag := range []struct {
		name        string
		value, most int
	}{{"--rate", o.rate, replay.MaxRate}, {"--limit", o.limit, 10_000_000}, {"--top", o.top, 1_000_000}} {
		if flag.value < 1 || flag.value > flag.most {
			mistakes[2] = errors.Join(mistakes[2], fmt.Errorf("%s: found %d, expected 1 to %d", flag.name, flag.value, flag.most))
		}
	}
	return settings, errors.Join(mistakes[:]...)
}

// read reads the logs. What cannot be read whole is not replayed: what is missing from
// it would seem not to change.
func (o *replayOptions) read(ctx context.Context, command *cobra.Command, paths []string, settings logreport.Options, respondent *respondent) (*logreport.Questions, error) {
	reading := newProgress(command.ErrOrStderr())
	sources := make([]logreport.Source, 0, len(paths))
	for _, path := range paths {
		sources = append(sources, reading.source(path, command.InOrStdin()))
	}
	end := reading.show()
	questions, err := logreport.ReadQuestions(ctx, sources, settings, logreport.Asking{Limit: o.limit, OneClient: respondent.place == nil, Place: respondent.place})
	end()
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("interrupted while reading: nothing was asked")
	}
	if err == nil && len(questions.List) == 0 {
		err = fmt.Errorf("found no question to ask in %s, expected lines of the query log; found %s", strings.Join(paths, ", "), cmp.Or(strings.Join(leftOut(questions), ", "), "none"))
	}
	return questions, err
}

// ask asks all questions, and shows how far it is.
func (o *replayOptions) ask(ctx context.Context, line *progressLine, questions []logreport.Question, respondent *respondent) *replay.Result {
	started, shown := time.Now(), time.Time{}
	progress := func(done, changed int) {
		now := time.Now()
		if now.Sub(shown) < progressPatience/5 {
			return
		}
		shown = now
		line.show(done, len(questions), askedSoFar(done, len(questions), changed, now.Sub(started)))
	}
	result := replay.Run(ctx, questions, respondent.ask, replay.Options{Rate: o.rate, Strict: o.strict, Progress: progress})
	line.clear()
	return result
}

// askedSoFar says beside the bar how far the asking is.
func askedSoFar(done, all, changed int, elapsed time.Duration) string {
	left := time.Duration(float64(elapsed) / float64(max(done, 1)) * float64(all-done)).Round(time.Second)
	return fmt.Sprintf("%d of %s, %d changed, %s left", done, plural(all, "question"), changed, left)
}

// clientOf is who is to ask a question.
func (o *replayOptions) clientOf(question logreport.Question) netip.Addr {
	if question.Client.IsValid() {
		return question.Client
	}
	client, _ := netip.ParseAddr(o.client) // which respondent has checked
	return client
}
