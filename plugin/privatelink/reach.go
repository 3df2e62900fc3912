package privatelink

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// Reached is on which ways a server replies at all. It is found with a question for
// localhost., to which any reply will do.
type Reached struct {
	Server netip.AddrPort `json:"server"`
	// UDP is with EDNS, as the server is asked usually, Plain without.
	UDP   bool `json:"udp"`
	Plain bool `json:"plain"`
	TCP   bool `json:"tcp"`
}

// reachTime is how long each reply is waited for.
const reachTime = time.Second

// Reach asks a server over UDP with and without EDNS and over TCP, at the same time.
// It waits a second at most, and knows of no budget: three questions are sent.
func Reach(ctx context.Context, server netip.AddrPort) Reached {
	reached := Reached{Server: server}
	var asking sync.WaitGroup
	asking.Go(func() { reached.UDP = replies(ctx, server, "udp", true) })
	asking.Go(func() { reached.Plain = replies(ctx, server, "udp", false) })
	asking.Go(func() { reached.TCP = replies(ctx, server, "tcp", true) })
	asking.Wait()
	return reached
}

func replies(ctx context.Context, server netip.AddrPort, network string, edns bool) bool {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	question := new(dns.Msg)
	question.SetQuestion("localhost.", dns.TypeA)
	if edns {
		question.SetEdns0(1232, false)
	}
	client := &dns.Client{Net: network, Timeout: reachTime}
	_, _, err := client.ExchangeContext(ctx, question, server.String())
	return err == nil
}

// reachSilent tries the servers that gave no reply, a few of them.
func reachSilent(ctx context.Context, attempts []upstream.Attempt) []Reached {
	var silent []netip.AddrPort
	for _, attempt := range attempts {
		plain := attempt.Transport == upstream.UDP || attempt.Transport == upstream.TCP || attempt.Transport == ""
		if attempt.Err != nil && plain && !slices.Contains(silent, attempt.Server) && len(silent) < 4 {
			silent = append(silent, attempt.Server)
		}
	}
	reached := make([]Reached, len(silent))
	var asking sync.WaitGroup
	for index, server := range silent {
		asking.Go(func() { reached[index] = Reach(ctx, server) })
	}
	asking.Wait()
	return reached
}
