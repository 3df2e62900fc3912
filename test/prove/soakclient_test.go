//go:build linux

package prove

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// streamed is a client over TCP that keeps what it was told.
type streamed struct {
	persistent
	soak      *soak
	questions []*question
}

// run asks, some hundred times a second, until ended is closed.
func (s *streamed) run() {
	defer s.hangUp()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for number := 0; ; number++ {
		select {
		case <-s.ended:
			return
		case <-tick.C:
		}
		if s.connection == nil && !s.connect() {
			continue
		}
		begun := time.Now()
		q, replied := s.exchange(s.names[number%len(s.names)])
		q.asked = begun
		if !replied {
			// Under way when our program ended: nobody was told anything.
			s.hangUp()
			continue
		}
		s.questions = append(s.questions, &q)
	}
}

// sum adds what all series of a name tell.
func (s *soak) sum(name string) (sum float64) {
	t := s.proof.t
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), name+"{") {
			continue
		}
		value, err := strconv.ParseFloat(lines.Text()[strings.LastIndex(lines.Text(), " ")+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}

// peakMemory returns the most that a process has had in memory, in MB.
func peakMemory(t testing.TB, process int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest + " 0")[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kilobytes) * 1024 / 1e6
}

// openFiles lists what a process has open, sockets with their line in the kernel's tables.
func openFiles(process int) string {
	var list strings.Builder
	sockets := ""
	for _, table := range []string{"udp", "tcp"} {
		if text, err := os.ReadFile("/proc/net/" + table); err == nil {
			sockets += string(text)
		}
	}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", process))
	for _, file := range files {
		name, err := os.Readlink(file)
		if err != nil {
			continue // closed meanwhile
		}
		fmt.Fprintf(&list, "%s %s", filepath.Base(file), name)
		node := strings.TrimSuffix(strings.TrimPrefix(name, "socket:["), "]")
		for line := range strings.Lines(sockets) {
			if fields := strings.Fields(line); len(fields) > 9 && fields[9] == node {
				fmt.Fprintf(&list, " %s -> %s state %s", fields[1], fields[2], fields[3])
			}
		}
		list.WriteString("\n")
	}
	return list.String()
}
