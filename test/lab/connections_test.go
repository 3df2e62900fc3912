//go:build linux

package lab

import (
	"fmt"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// TestUpstreamThatClosesConnections: dnsdist takes two questions on a TCP
// connection and closes it. A burst of questions whose answers need TCP loses
// none.
func TestUpstreamThatClosesConnections(t *testing.T) {
	t.Parallel()
	const questions = 60
	l := New(t)
	needTool(t, "dnsdist")
	startAzure(l)
	upstream := l.Host("dnsdist", "192.0.2.60")
	config := upstream.write("dnsdist.conf", `setLocal("192.0.2.60:53")
setACL("0.0.0.0/0")
newServer("%s")
setSecurityPollSuffix("")
setMaxTCPQueriesPerConnection(2)
`, internetDNS)
	upstream.Start("dnsdist", "as 'up'", "dnsdist", "--supervised", "--disable-syslog", "-C", config)
	l.Host("us", hubDNS).Serve("upstream internet 192.0.2.60", "route . internet")
	vm := l.Host("VM in spoke", "10.2.0.10")
	var clients sync.WaitGroup
	for number := range questions {
		a := newAsker(t, vm, "tcp", hubDNS)
		clients.Go(func() {
			message := question(fmt.Sprintf("name%d.many.example.org", number))
			message.Question[0].Qtype = dns.TypeTXT
			reply, err := a.ask(message)
			if err != nil || len(reply.Answer) != 60 {
				t.Errorf("%s TXT: got %v, %v, want 60 records", message.Question[0].Name, reply, err)
			}
		})
	}
	clients.Wait()
}
