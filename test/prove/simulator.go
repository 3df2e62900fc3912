//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// simulator is Azure-provided DNS in a process of its own, so that its limits
// and counters outlive restarts of our program.
type simulator struct {
	*process
	proof   *proof
	address netip.AddrPort
	world   string
}

// first lets the simulator run before all others, where that is permitted.
// It counts a question when it gets to read it: on a machine short of
// processors it would see bursts that nobody sent, and Azure is not short.
var first = []string{"nice", "-n", "-15"}

// azure starts a simulator of a world, with further lines of its stanza.
func (p *proof) azure(world string, stanza ...string) *simulator {
	p.t.Helper()
	s := &simulator{proof: p}
	s.process, s.address = p.serveAnywhere(first, func(address netip.AddrPort) string {
		s.world = p.file(fmt.Sprintf("world.%d.yaml", address.Port()), world)
		return s.configure(address, stanza)
	})
	return s
}

// configure writes the simulator's Corefile.
func (s *simulator) configure(address netip.AddrPort, stanza []string) string {
	s.proof.t.Helper()
	return s.proof.file(fmt.Sprintf("Corefile.%d", address.Port()), fmt.Sprintf(`.:%d {
    bind %s
    azuresim %s {
        %s
    }
}`, address.Port(), address.Addr(), s.world, strings.Join(stanza, "\n        ")))
}

// replace ends the simulator and starts it again with other lines.
func (s *simulator) replace(stanza ...string) {
	s.proof.t.Helper()
	s.stop()
	s.process = s.proof.serve(first, s.configure(s.address, stanza))
}

// stats are the simulator's counters since its start.
type stats map[string]int

// dropped returns how many questions went beyond the limits.
func (s stats) dropped() int { return s["dropped_rate"] + s["dropped_outstanding"] }

// stats asks the simulator for its counters; it does not count that question.
func (s *simulator) stats() stats {
	s.proof.t.Helper()
	figures := stats{}
	for _, text := range s.introspect("stats.azuresim.") {
		name, value, _ := strings.Cut(text, "=")
		number, err := strconv.Atoi(value)
		if err != nil {
			s.proof.t.Fatalf("stats.azuresim.: found %q, expected name=number", text)
		}
		figures[name] = number
	}
	return figures
}

// asked returns how many of the simulator's last questions, 64 at most, were
// for a name, whatever the type.
func (s *simulator) asked(name string) int {
	s.proof.t.Helper()
	number := 0
	for _, entry := range s.introspect("log.azuresim.") {
		if slices.ContainsFunc(strings.Fields(entry), func(word string) bool { return strings.EqualFold(word, name) }) {
			number++
		}
	}
	return number
}

// introspect returns the texts of a name about the simulator itself.
func (s *simulator) introspect(name string) []string {
	s.proof.t.Helper()
	client := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), s.address.String())
	if err != nil {
		s.proof.t.Fatalf("asking the simulator for %s: %v", name, err)
	}
	var texts []string
	for _, record := range reply.Answer {
		if text, ok := record.(*dns.TXT); ok {
			texts = append(texts, text.Txt...)
		}
	}
	return texts
}
