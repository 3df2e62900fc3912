//go:build linux

// Command bench measures our server beside others in one run: CoreDNS's own
// cache and forward plugins, dnsdist, Unbound, dnsmasq, and a bare loop over
// plugin/batch, which is the floor. README.md says how, and what the figures
// cannot show.
//
// It sees every server as a process behind a UDP port of loopback, all started
// in the same way. It must not treat ours differently from any other.
//
//	go run ./test/bench [-rounds 5] [-seconds 1.25] [-calm 0s] [-only REGEXP] [-out DIR] [-profile] [-protected]
//
// It exits with 1 only where it could not measure; a bound that is not reached
// is a line of the report.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are the command line's.
type options struct {
	rounds  int
	length  time.Duration // of a measurement at full speed
	calm    time.Duration // to wait for others, at most
	only    *regexp.Regexp
	out     string // the directory of the report
	profile bool
	// protected: our server has every protection on.
	protected bool
}

func main() {
	// The kernel ends our children with the thread that started them.
	runtime.LockOSThread()
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 0 {
		switch arguments[0] {
		case floorRole:
			return serveFloor()
		case upstreamRole:
			return serveUpstream()
		}
	}
	chosen, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	if runtime.NumCPU() < 2 {
		return errors.New("found one processor, expected two at least: servers and load need one each")
	}
	if err := pin(loadProcessor); err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	removeOnSignal(directory)
	b := &bench{options: chosen, directory: directory, started: time.Now()}
	defer b.stop()
	if err := b.measure(); err != nil {
		return err
	}
	return b.report()
}

// removeOnSignal removes the directory, whose logs are large, where the run is ended
// early. The servers end with this process.
func removeOnSignal(directory string) {
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stops
		// Under another name, nobody puts a file into it meanwhile.
		ended := directory + ".ended"
		if os.Rename(directory, ended) == nil {
			_ = os.RemoveAll(ended)
		}
		os.Exit(1)
	}()
}

func parseOptions(arguments []string) (options, error) {
	var chosen options
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&chosen.rounds, "rounds", 5, "how often everything is measured, in turn")
	seconds := flags.Float64("seconds", 1.25, "how long a measurement at full speed takes; one at a fixed load takes half of it")
	flags.DurationVar(&chosen.calm, "calm", 0, "how long to wait before each measurement for other programs to leave the machine alone, at most")
	only := flags.String("only", "", "measure only what matches, as WORKLOAD/SUBJECT")
	flags.StringVar(&chosen.out, "out", "test/bench", "the directory for RESULTS.md and results.json")
	flags.BoolVar(&chosen.profile, "profile", false, "print where our server spends its time, after the measurements")
	flags.BoolVar(&chosen.protected, "protected", false, "our server with every protection on; the report is PROTECTED.md and protected.json")
	if err := flags.Parse(arguments); err != nil {
		return chosen, err
	}
	if chosen.rounds < 1 || chosen.rounds > 1000 || *seconds < 0.2 || *seconds > 600 || flags.NArg() > 0 {
		return chosen, fmt.Errorf("found -rounds %d, -seconds %g and %d other words, expected 1 to 1000, 0.2 to 600 and none", chosen.rounds, *seconds, flags.NArg())
	}
	chosen.length = time.Duration(*seconds * float64(time.Second))
	var err error
	if chosen.only, err = regexp.Compile(*only); err != nil {
		return chosen, fmt.Errorf("reading -only: %w", err)
	}
	chosen.out = filepath.Clean(chosen.out)
	return chosen, os.MkdirAll(chosen.out, 0o755)
}
