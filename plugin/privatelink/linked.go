package privatelink

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// privatePrimary is the primary server in the SOA record of every Azure private DNS
// zone, as 168.63.129.16 shows it to a linked network. Public DNS shows another one
// for the public zone of the same name. It is documented by example only
// (https://learn.microsoft.com/azure/dns/private-dns-privatednszone): this line and
// linkOf are all that knows of it.
const privatePrimary = "azureprivatedns.net."

// Link is whether the network that an upstream stands in is linked to a privatelink
// zone, as far as the zone's SOA record tells.
type Link string

// The links. LinkUnknown says that the test brought nothing.
const (
	Linked      Link = "linked"
	NotLinked   Link = "not-linked"
	LinkUnknown Link = "unknown"
)

// linkTime bounds the test: it is for people who wait.
const linkTime = 2 * time.Second

// linkOf reads a reply to the question for the SOA record of a zone.
func linkOf(zone string, reply *dns.Msg) Link {
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return LinkUnknown
	}
	for _, record := range append(append([]dns.RR{}, reply.Answer...), reply.Ns...) {
		soa, isSOA := record.(*dns.SOA)
		if isSOA && dns.CanonicalName(soa.Ns) == privatePrimary && dns.IsSubDomain(dns.CanonicalName(soa.Hdr.Name), zone) {
			return Linked
		}
	}
	return NotLinked
}

// testLink asks a group for the SOA record of a privatelink zone. The zone has no
// final dot.
func testLink(ctx context.Context, group *upstream.Group, zone string) (Link, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	name := dns.Fqdn(strings.ToLower(zone))
	answer, err := group.Exchange(ctx, upstream.Question{Name: name, Type: dns.TypeSOA, Class: dns.ClassINET})
	if err != nil {
		return LinkUnknown, fmt.Errorf("asking for the SOA of %s: %w", zone, err)
	}
	return linkOf(name, answer.Msg), nil
}
