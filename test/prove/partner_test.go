//go:build linux

package prove

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

// A partner's database: it has a private endpoint, which is the partner's, so
// that our private zone does not know its name.
const (
	partnerName    = "partner1.database.windows.net."
	partnerAlias   = "partner1.privatelink.database.windows.net."
	partnerAddress = "203.0.113.12"
)

// repeats is how often a question is asked again.
const repeats = 20

// provePartner: Azure answers for a partner's resource with NXDOMAIN and the
// CNAME. With a fallback the client gets the public address, without one it
// gets the NXDOMAIN, and in both cases a repeat costs no question.
func provePartner(p *proof) {
	const negative = 3 // seconds
	known := resources{{name: partnerName, alias: partnerAlias, public: partnerAddress}}
	azure, public := p.azure(known.world(60, negative), "limit azure"), p.public(known)

	fallback := p.privatelink("fallback", azure.address, "upstream public "+public.address.String(), "route . azure missing=public")
	p.require("with missing=public: public answers", float64(repeat(p, fallback, repeats, isPublic)), "of 20", exactly(repeats))
	p.require("with missing=public: asked Azure", float64(azure.asked(partnerName)), "times", exactly(1))
	p.require("with missing=public: asked publicly", float64(public.asked(partnerName)), "times", exactly(1))

	azure.replace("limit azure")
	none := p.privatelink("none", azure.address, "route . azure")
	p.require("without: NXDOMAIN with the CNAME", float64(repeat(p, none, repeats, isMissing)), "of 20", exactly(repeats))
	p.require("without: asked Azure", float64(azure.asked(partnerName)), "times", exactly(1))
	pass(negative*time.Second + 200*time.Millisecond)
	p.require("after the negative TTL: NXDOMAIN with the CNAME", float64(repeat(p, none, 1, isMissing)), "of 1", exactly(1))
	p.require("after the negative TTL: asked Azure", float64(azure.asked(partnerName)), "times", exactly(2))
}

// repeat asks for the partner's address and counts the good replies.
func repeat(p *proof, us *server, times int, good func(*dns.Msg) bool) int {
	p.t.Helper()
	number := 0
	client := dns.Client{Timeout: patience}
	for range times {
		reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(partnerName, dns.TypeA).SetEdns0(1232, false), us.address.String())
		switch {
		case err != nil:
			p.t.Logf("asking for %s: %v", partnerName, err)
		case good(reply):
			number++
		default:
			p.t.Logf("the reply is %s with %v", dns.RcodeToString[reply.Rcode], reply.Answer)
		}
	}
	return number
}

func isPublic(reply *dns.Msg) bool {
	return reply.Rcode == dns.RcodeSuccess && slices.Equal(publicAddresses(reply), []string{partnerAddress})
}

func isMissing(reply *dns.Msg) bool {
	if reply.Rcode != dns.RcodeNameError || len(reply.Answer) != 1 {
		return false
	}
	alias, ok := reply.Answer[0].(*dns.CNAME)
	return ok && alias.Target == partnerAlias
}
