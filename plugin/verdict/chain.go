package verdict

import (
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// Link is one CNAME of a chain. Target is lower case and fully qualified.
type Link struct {
	Target string
	TTL    time.Duration
	// Zone is the catalogued privatelink zone that Target lies in; nil for none.
	Zone *catalog.Zone
}

// Chain is the way from a question's name over CNAME records to the records at
// its end. The zero value is an empty answer.
type Chain struct {
	// Links are the CNAMEs in the order in which they lead on.
	Links []Link
	// Addresses are the addresses at the chain's end, hints of HTTPS and SVCB
	// records included, in the order of the answer.
	Addresses []netip.Addr

	// endless: there are CNAMEs only.
	endless bool
	// types are the types of the records at the chain's end.
	types []uint16
}

// maxLinks bounds the work that a hostile answer can cause; resolvers give up
// at about the same length.
const maxLinks = 16

// follow walks the answer section from name. A chain longer than maxLinks, a
// loop among them, has no end and so no records.
func follow(name string, answer []dns.RR) Chain {
	var chain Chain
	owner := name
	for range maxLinks {
		cname := cnameAt(owner, answer)
		if cname == nil {
			break
		}
		owner = wire.CanonicalName(cname.Target)
		chain.Links = append(chain.Links, Link{Target: owner, TTL: time.Duration(cname.Hdr.Ttl) * time.Second})
	}
	if cnameAt(owner, answer) != nil {
		chain.endless = true
		return chain
	}
	for _, record := range answer {
		if header := record.Header(); wire.SameName(header.Name, owner) {
			chain.types = append(chain.types, header.Rrtype)
			chain.Addresses = appendAddresses(chain.Addresses, record)
		}
	}
	return chain
}

func cnameAt(owner string, answer []dns.RR) *dns.CNAME {
	for _, record := range answer {
		if cname, ok := record.(*dns.CNAME); ok && wire.SameName(cname.Hdr.Name, owner) {
			return cname
		}
	}
	return nil
}

// appendAddresses appends the addresses of a record.
func appendAddresses(addresses []netip.Addr, record dns.RR) []netip.Addr {
	switch record := record.(type) {
	case *dns.A:
		return appendAddress(addresses, record.A)
	case *dns.AAAA:
		return appendAddress(addresses, record.AAAA)
	case *dns.HTTPS:
		return appendHints(addresses, record.Value)
	case *dns.SVCB:
		return appendHints(addresses, record.Value)
	}
	return addresses
}

func appendHints(addresses []netip.Addr, values []dns.SVCBKeyValue) []netip.Addr {
	for _, value := range values {
		var hints []net.IP
		switch value := value.(type) {
		case *dns.SVCBIPv4Hint:
			hints = value.Hint
		case *dns.SVCBIPv6Hint:
			hints = value.Hint
		}
		for _, hint := range hints {
			addresses = appendAddress(addresses, hint)
		}
	}
	return addresses
}

func appendAddress(addresses []netip.Addr, ip net.IP) []netip.Addr {
	if address, ok := netip.AddrFromSlice(ip); ok {
		return append(addresses, address.Unmap())
	}
	return addresses
}

// answers reports whether the chain's end holds a record of the type asked for.
func (c *Chain) answers(qtype uint16) bool {
	switch qtype {
	case dns.TypeANY:
		return len(c.types) > 0 || len(c.Links) > 0
	case dns.TypeCNAME:
		return len(c.Links) > 0
	}
	for _, present := range c.types {
		if present == qtype {
			return true
		}
	}
	return false
}
