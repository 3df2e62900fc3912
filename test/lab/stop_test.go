//go:build linux

package lab

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// TestStopFinishesWhatIsInFlight: SIGTERM comes while questions wait for the
// upstream. They are answered, the exit code is 0, and the query log has one
// record for each.
func TestStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	const inFlight = 20
	l := New(t)
	startAzure(l, "latency 1s")
	us := l.Host("us", hubDNS).Serve(toAzure...)
	vm := l.Host("VM in spoke", "10.2.0.10")
	before := received(t, vm)
	var clients sync.WaitGroup
	for number := range inFlight {
		a := newAsker(t, vm, "udp", hubDNS)
		clients.Go(func() {
			name := fmt.Sprintf("n%d.example.org", number)
			if reply, err := a.ask(question(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if reply.Rcode != dns.RcodeNameError {
				t.Errorf("%s: got %s, want NXDOMAIN", name, dns.RcodeToString[reply.Rcode])
			}
		})
	}
	if !Eventually(patience, func() bool { return received(t, vm) >= before+inFlight }) {
		t.Fatalf("the upstream did not receive %d questions", inFlight)
	}
	if code := us.Stop(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	clients.Wait()

	records, err := us.Logged()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, record := range records {
		counts[record.Name]++
	}
	for number := range inFlight {
		if name := fmt.Sprintf("n%d.example.org.", number); counts[name] != 1 {
			t.Errorf("the query log has %d records of %s, want 1", counts[name], name)
		}
	}
}

// received returns how many questions the simulator has received.
func received(t *testing.T, from *Host) int {
	t.Helper()
	for _, figure := range strings.Fields(strings.Join(dig(t, from, azureDNS, "stats.azuresim", "TXT").Data("TXT"), " ")) {
		if number, found := strings.CutPrefix(strings.Trim(figure, `"`), "received="); found {
			count, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
	}
	t.Fatal("the simulator does not tell how many questions it has received")
	return 0
}
