//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load is what dnsperf is to do.
type load struct {
	server    netip.AddrPort
	client    netip.Addr
	questions string        // a file, one question a line
	once      bool          // through the file no more than once
	length    time.Duration // 0: through the file once
	rate      int           // questions a second; 0: as many as get answers
	latencies bool          // of every question, which costs time
	begun     func()        // is called when it begins; may be nil
}

// loaded is what came of a load.
type loaded struct {
	completed, lost int
	length          time.Duration
	rcodes          map[string]int
	latencies       []time.Duration // sorted; nil unless asked for
}

// outstanding is how many questions wait for an answer at most:
// no more than fit into a socket's receive buffer as Linux makes it by default.
const outstanding = 150

// run makes the load, on the processor that is for it.
func (l load) run() (loaded, error) {
	arguments := []string{
		"-c", strconv.Itoa(loadProcessor), "dnsperf", "-f", "inet", "-W",
		"-s", l.server.Addr().String(), "-p", strconv.Itoa(int(l.server.Port())), "-a", l.client.String(),
		"-d", l.questions, "-c", "8", "-q", strconv.Itoa(outstanding), "-t", "1", "-b", "1024", "-O", "suppress=timeouts",
	}
	if l.length > 0 {
		arguments = append(arguments, "-l", strconv.FormatFloat(l.length.Seconds(), 'f', 3, 64))
	}
	if l.once || l.length == 0 {
		arguments = append(arguments, "-n", "1")
	}
	if l.rate > 0 {
		arguments = append(arguments, "-Q", strconv.Itoa(l.rate))
	}
	if l.latencies {
		arguments = append(arguments, "-v")
	}
	var said bytes.Buffer
	command := exec.Command("taskset", arguments...)
	command.Stdout, command.Stderr = &said, &said
	err := command.Run()
	var result loaded
	if err == nil {
		result, err = parseDnsperf(said.String())
	}
	if err != nil {
		text := said.String()
		return result, fmt.Errorf("dnsperf %s: %w\n%s", strings.Join(arguments[2:], " "), err, text[max(0, len(text)-2000):])
	}
	return result, nil
}

// parseDnsperf reads what dnsperf 2 writes: a line "> RCODE NAME TYPE SECONDS" for
// every answer where it was asked to, and then its statistics.
func parseDnsperf(text string) (loaded, error) {
	result := loaded{rcodes: map[string]int{}}
	seen := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "> ") {
			if err := result.addLatency(line); err != nil {
				return result, err
			}
			continue
		}
		label, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		words := strings.Fields(strings.NewReplacer(",", " ", "(", " ", ")", " ").Replace(rest))
		read, known := statistics[label]
		if !known {
			continue
		}
		seen++
		if len(words) == 0 { // no answer, no response code
			continue
		}
		if err := read(&result, words); err != nil {
			return result, fmt.Errorf("reading %q: %w", strings.TrimSpace(line), err)
		}
	}
	if seen != len(statistics) {
		return result, fmt.Errorf("found %d of the statistics, expected %d", seen, len(statistics))
	}
	slices.Sort(result.latencies)
	return result, nil
}

// statistics are the lines of dnsperf's that are read, and how.
var statistics = map[string]func(*loaded, []string) error{
	"Queries completed": func(l *loaded, words []string) (err error) {
		l.completed, err = strconv.Atoi(words[0])
		return err
	},
	"Queries lost": func(l *loaded, words []string) (err error) {
		l.lost, err = strconv.Atoi(words[0])
		return err
	},
	"Run time (s)": func(l *loaded, words []string) (err error) {
		l.length, err = time.ParseDuration(words[0] + "s")
		return err
	},
	"Response codes": func(l *loaded, words []string) (err error) {
		// NOERROR 1000 99.9% REFUSED 1 0.1%
		for ; err == nil && len(words) >= 2; words = words[min(3, len(words)):] {
			l.rcodes[words[0]], err = strconv.Atoi(words[1])
		}
		return err
	},
}

func (l *loaded) addLatency(line string) error {
	words := strings.Fields(line)
	latency, err := time.ParseDuration(words[len(words)-1] + "s")
	if err != nil {
		return nil // "> T NAME TYPE": no answer in time, which is counted as lost
	}
	l.latencies = append(l.latencies, latency)
	return nil
}

// right fails where more than one question in 200 was lost or had another
// response code than that.
func (l loaded) right(rcode string) error {
	asked := l.completed + l.lost
	switch {
	case l.completed == 0:
		return errors.New("no question was answered")
	case (asked-l.rcodes[rcode])*200 > asked:
		return fmt.Errorf("of %d questions %d were lost and %v answered, expected %s", asked, l.lost, l.rcodes, rcode)
	}
	return nil
}

// perSecond is how many questions were answered a second.
func (l loaded) perSecond() float64 { return float64(l.completed) / l.length.Seconds() }

// percentile is the latency that so many of 100 answers do not exceed, in
// milliseconds; not a number without any.
func (l loaded) percentile(percent float64) float64 {
	if len(l.latencies) == 0 {
		return math.NaN()
	}
	at := max(0, int(math.Ceil(percent/100*float64(len(l.latencies))))-1)
	return l.latencies[at].Seconds() * 1000
}
