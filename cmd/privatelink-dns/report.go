package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// reportOptions are the flags of the command report.
type reportOptions struct {
	since, until string
	namespaces   []string
	clients      []string
	top          int
	asJSON       bool
	html         string
	catalog      catalogFlags
}

func newReportCommand() *cobra.Command {
	options := &reportOptions{}
	command := &cobra.Command{
		Use:   "report FILE...",
		Short: "Tell what query logs say: what is slow, failing, not linked, misconfigured",
		Long: "report reads query logs, of any size in constant memory, and tells what needs a look: clients that ask for\n" +
			"privatelink names, zones that are not linked, answers withheld, slow names, upstreams, fallbacks, gaps.\n" +
			"FILE is a log as querylog writes it, also packed by gzip or zstd; - is standard input. A line that was\n" +
			"sampled, one in N, counts N. A count that may be too high says by how much. Times are in UTC.\n" +
			"Ends with 2 where something fails (!!) or is wrong (!), 0 where nothing is or it is only good to know (-), 1\n" +
			"with an error. A few failures among many answers are no failing: that takes a share of all, and ten of them.",
		Example: "  privatelink-dns report /var/log/privatelink-dns/query.log\n" +
			"  privatelink-dns report --since 2h --html report.html /var/log/privatelink-dns/query*.log*\n" +
			"  privatelink-dns report --client 10.20.0.0/16 --namespace vault.azure.net query.log\n" +
			"  ssh hub cat query.log.gz | privatelink-dns report --json -",
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.run(command, arguments)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.since, "since", "", "from when on: a time such as 2026-03-01T12:00:00Z, or how long ago, such as 2h or 3d")
	flags.StringVar(&options.until, "until", "", "until when, in the same forms")
	flags.StringSliceVar(&options.namespaces, "namespace", nil, "only these namespaces, or names below these suffixes")
	flags.StringSliceVar(&options.clients, "client", nil, "only these clients: addresses or networks")
	flags.IntVar(&options.top, "top", logreport.DefaultTop, "how many rows a table has, 1 to 1000")
	flags.BoolVar(&options.asJSON, "json", false, "print the report as JSON")
	flags.StringVar(&options.html, "html", "", "write the report as one page of HTML to this file, - for standard output")
	options.catalog.addFlags(command)
	command.MarkFlagsMutuallyExclusive("json", "html")
	return command
}

func (o *reportOptions) run(command *cobra.Command, paths []string) error {
	settings, err := o.settings(time.Now())
	if err != nil {
		return err
	}
	progress := newProgress(command.ErrOrStderr())
	sources := make([]logreport.Source, 0, len(paths))
	for _, path := range paths {
		sources = append(sources, progress.source(path, command.InOrStdin()))
	}
	// Whoever has waited long enough gets the report on what was read. A second
	// signal ends the program: standard input may never say anything again.
	ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	end := progress.show()
	report, readErr := logreport.Read(ctx, sources, settings)
	end()
	if errors.Is(readErr, context.Canceled) {
		readErr = errors.New("interrupted: the report is on what was read until then")
	}
	if report.Queries == 0 && report.Lines == 0 && report.PassedOver == 0 && report.Unreadable > 0 {
		readErr = errors.Join(readErr, fmt.Errorf("found no record in %d lines, expected the JSON that querylog writes", report.Unreadable))
	}
	if err := errors.Join(o.print(command.OutOrStdout(), report), readErr); err != nil {
		return err
	}
	if report.NeedsAttention() {
		return findingError("")
	}
	return nil
}

// settings are the flags as the report takes them.
func (o *reportOptions) settings(now time.Time) (logreport.Options, error) {
	settings := logreport.Options{Namespaces: o.namespaces, Top: o.top}
	var mistakes [5]error
	settings.Since, mistakes[0] = parseMoment("--since", o.since, now)
	settings.Until, mistakes[1] = parseMoment("--until", o.until, now)
	settings.Clients, mistakes[2] = parseNetworks(o.clients)
	if o.top < 1 || o.top > 1000 {
		mistakes[3] = fmt.Errorf("--top: found %d, expected 1 to 1000", o.top)
	}
	loaded, err := o.catalog.load()
	mistakes[4] = err
	settings.PublicName = func(name string) (string, bool) {
		zone := loaded.Match(name).Zone
		if zone == nil {
			return "", false
		}
		return zone.PublicName(name)
	}
	return settings, errors.Join(mistakes[:]...)
}

// parseMoment reads a time, or how long it is ago. Nothing is the zero time.
func parseMoment(flag, written string, now time.Time) (time.Time, error) {
	if written == "" {
		return time.Time{}, nil
	}
	if ago, err := parseDuration(written); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if moment, err := time.Parse(layout, written); err == nil {
			return moment, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s: found %q, expected a time such as 2026-03-01T12:00:00Z or how long ago, such as 90m or 3d", flag, written)
}

func parseNetworks(written []string) (networks []netip.Prefix, err error) {
	var mistakes []error
	for _, word := range written {
		network, err := netip.ParsePrefix(word)
		if err != nil {
			var address netip.Addr
			address, err = netip.ParseAddr(word)
			network = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("--client: found %q, expected an address or a network such as 10.20.0.0/16", word))
		}
		networks = append(networks, network)
	}
	return networks, errors.Join(mistakes...)
}

func (o *reportOptions) print(out io.Writer, report *logreport.Report) error {
	switch {
	case o.asJSON:
		return printJSON(out, report)
	case o.html == "-":
		return report.WriteHTML(out)
	case o.html != "":
		return writeFile(o.html, report.WriteHTML)
	}
	colours := paintFor(out)
	return report.WriteText(out, columnsOf(out), logreport.Style{Heading: colours.bold, Alarm: colours.red, Warning: colours.yellow})
}

// writeFile writes a file anew.
func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// progress counts what has been read of the logs, as they lie on the disk.
type progress struct {
	out   io.Writer
	shown bool
	read  atomic.Int64
	size  int64
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, shown: paintFor(out).on}
}

// source makes a log of a path, and counts what is read of it.
func (p *progress) source(path string, standardInput io.Reader) logreport.Source {
	if path == "-" {
		return logreport.Source{Name: "standard input", Open: func() (io.ReadCloser, error) {
			return countedReader{io.NopCloser(standardInput), &p.read}, nil
		}}
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		p.size += info.Size()
	}
	return logreport.Source{Name: path, Open: func() (io.ReadCloser, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, errors.Unwrap(err) // the name is told with it
		}
		return countedReader{file, &p.read}, nil
	}}
}

// countedReader counts what is read.
type countedReader struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c countedReader) Read(data []byte) (int, error) {
	count, err := c.ReadCloser.Read(data)
	c.read.Add(int64(count))
	return count, err
}

// progressPatience is how long nothing is shown: most logs are read by then.
const progressPatience = 500 * time.Millisecond

// show draws the progress until end is called, which takes it away.
func (p *progress) show() (end func()) {
	if !p.shown {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		started := time.Now()
		ticker := time.NewTicker(progressPatience)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprint(p.out, "\r\x1b[K"+p.bar(time.Since(started)))
				ticker.Reset(progressPatience / 5)
			case <-done:
				fmt.Fprint(p.out, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(done); <-gone }
}

const barColumns = 30

// bar is one line: how much was read, how fast, and when it will be done.
func (p *progress) bar(elapsed time.Duration) string {
	read := p.read.Load()
	speed := float64(read) / elapsed.Seconds()
	if p.size <= 0 || read > p.size { // standard input, or a log that grows
		return fmt.Sprintf("%.0f MB read, %.0f MB/s", float64(read)/1e6, speed/1e6)
	}
	filled := int(barColumns * read / p.size)
	left := time.Duration(float64(p.size-read) / max(speed, 1) * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("[%s%s] %d %%, %.0f of %.0f MB, %s left", strings.Repeat("=", filled), strings.Repeat(" ", barColumns-filled),
		100*read/p.size, float64(read)/1e6, float64(p.size)/1e6, left)
}
