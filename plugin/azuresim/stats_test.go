package azuresim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestLog(t *testing.T) {
	s := simulator(t, faults{}, limits{machine: quota{perSecond: 3}})
	serve(t, s, "partner1.database.windows.net.", dns.TypeA)
	serve(t, s, "WWW.example.org.", dns.TypeAAAA)
	odd := strings.Repeat(strings.Repeat("a", 60)+`\"\\.`, 4)
	serve(t, s, odd, dns.TypeA)
	serve(t, s, "www.example.org.", dns.TypeA)
	w := from("203.0.113.7", false)
	if _, err := s.ServeDNS(context.Background(), w, query("www.example.org.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"10.1.0.4 hub A partner1.database.windows.net. answered NXDOMAIN",
		"10.1.0.4 hub AAAA WWW.example.org. answered NOERROR",
		("10.1.0.4 hub A " + odd + " answered NXDOMAIN")[:255],
		"10.1.0.4 hub A www.example.org. dropped_rate",
		"203.0.113.7 - A www.example.org. ignored",
	}
	if got := readLog(t, s); !slices.Equal(got, want) {
		t.Errorf("log =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range 2 * maxLog {
		serve(t, s, fmt.Sprintf("a%d.example.org.", i), dns.TypeA)
	}
	got := readLog(t, s)
	if len(got) != maxLog || !strings.Contains(got[0], " a64.") || !strings.Contains(got[maxLog-1], " a127.") {
		t.Errorf("log of %d lines, %q to %q, want the last %d questions", len(got), got[0], got[len(got)-1], maxLog)
	}
}

// readLog reads log.azuresim. through the wire, where TXT strings lose their
// escapes.
func readLog(t *testing.T, s *Simulator) []string {
	t.Helper()
	w := from("10.1.0.4", true)
	if _, err := s.ServeDNS(context.Background(), w, query("LOG.azuresim.", dns.TypeTXT)); err != nil {
		t.Fatal(err)
	}
	wire, err := w.Msg.Pack()
	if err != nil {
		t.Fatalf("Pack() = %v", err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatalf("Unpack() = %v", err)
	}
	var got []string
	for _, rr := range m.Answer {
		text := rr.(*dns.TXT).Txt[0]
		got = append(got, strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text))
	}
	return got
}

func TestIntrospectOtherTypes(t *testing.T) {
	s := simulator(t, faults{}, limits{})
	if m := serve(t, s, statsName, dns.TypeA); m == nil || m.Rcode != dns.RcodeNameError {
		t.Errorf("ServeDNS(stats A) = %v, want NXDOMAIN as for any name", m)
	}
}
