//go:build linux

package prove

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// dnsperfRun is a load as dnsperf makes it: so many clients and questions a
// second, and at most 8,000 questions without an answer.
type dnsperfRun struct {
	questions string // a file, one question a line
	rate      int
	length    time.Duration // 0: every question once
}

// dnsperfResult is what came of a load. Questions that were under way at its
// end are in none of the numbers.
type dnsperfResult struct {
	completed, lost, noError int
	average                  time.Duration
	processor                time.Duration // what dnsperf itself used
}

// asked is how many questions were answered or given up.
func (r dnsperfResult) asked() int { return r.completed + r.lost }

// dnsperf runs a load against a server.
func (p *proof) dnsperf(s *server, load dnsperfRun) dnsperfResult {
	p.t.Helper()
	rate := strconv.Itoa(load.rate)
	arguments := []string{
		"-s", s.address.Addr().String(), "-p", strconv.Itoa(int(s.address.Port())), "-d", load.questions,
		"-c", "64", "-q", "8000", "-Q", rate, "-t", "5",
		// Large buffers: what is lost shall not be lost at dnsperf itself.
		"-b", "1024", "-O", "suppress=timeouts",
	}
	if load.length > 0 {
		arguments = append(arguments, "-l", strconv.Itoa(int(load.length.Seconds())))
	} else {
		arguments = append(arguments, "-n", "1")
	}
	command := exec.Command("dnsperf", arguments...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Run(); err != nil {
		p.t.Fatalf("dnsperf %s: %v\n%s", strings.Join(arguments, " "), err, said.String())
	}
	result, err := parseDnsperf(said.String())
	if err != nil {
		p.t.Fatalf("dnsperf %s: %v\n%s", strings.Join(arguments, " "), err, said.String())
	}
	result.processor = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return result
}

// parseDnsperf reads dnsperf's statistics.
func parseDnsperf(text string) (dnsperfResult, error) {
	var result dnsperfResult
	seen := 0
	for line := range strings.Lines(text) {
		label, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		words := strings.Fields(strings.NewReplacer(",", " ", "(", " ", ")", " ").Replace(rest))
		var err error
		switch label {
		case "Queries completed":
			result.completed, err = wordAfter(words, "")
			seen++
		case "Queries lost":
			result.lost, err = wordAfter(words, "")
			seen++
		case "Response codes":
			result.noError, err = wordAfter(words, "NOERROR")
		case "Average Latency (s)":
			result.average, err = time.ParseDuration(strings.Join(words[:min(1, len(words))], "") + "s")
			seen++
		}
		if err != nil {
			return result, fmt.Errorf("reading %q: %w", strings.TrimSpace(line), err)
		}
	}
	if seen != 3 {
		return result, fmt.Errorf("found %d of the statistics, expected completed, lost and latency", seen)
	}
	return result, nil
}

// wordAfter returns the number that follows a word; the first one after "",
// and 0 where the word is missing.
func wordAfter(words []string, before string) (int, error) {
	for i, word := range words {
		switch {
		case before == "":
			return strconv.Atoi(word)
		case word == before && i+1 < len(words):
			return strconv.Atoi(words[i+1])
		}
	}
	return 0, nil
}
