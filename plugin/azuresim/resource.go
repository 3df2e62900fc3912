package azuresim

import (
	"net/netip"

	"github.com/miekg/dns"
	"gopkg.in/yaml.v3"
)

// resource is a PaaS resource as public DNS shows it.
type resource struct {
	line int
	// names is the chain: the public name, the privatelink name if the
	// resource has a private endpoint, anyone's, then what follows.
	names     []string
	addresses []netip.Addr
	ttl       uint32
}

func (b *builder) resource(n *yaml.Node) {
	r := resource{line: n.Line, ttl: resourceTTL}
	var name, privateLink string
	var chain []string
	b.mapping(n, "a resource", []field{
		{"name", true, func(n *yaml.Node) { name = b.domain(n) }},
		{"private_link", false, func(n *yaml.Node) { privateLink = b.domain(n) }},
		{"chain", false, func(n *yaml.Node) {
			b.list(n, "domain names", func(n *yaml.Node) { chain = append(chain, b.domain(n)) })
		}},
		{"addresses", false, func(n *yaml.Node) {
			b.list(n, "addresses", func(n *yaml.Node) { r.addresses = append(r.addresses, b.address(n)) })
		}},
		{"ttl", false, func(n *yaml.Node) { r.ttl = b.ttl(n) }},
	})
	if name == "" {
		return
	}
	r.names = append(r.names, name)
	if privateLink != "" {
		if !isPrivateLink(privateLink) {
			b.report(n.Line, "found private_link %s, expected a name in a privatelink zone", privateLink)
		}
		r.names = append(r.names, privateLink)
	}
	r.names = append(r.names, chain...)
	if len(r.names) == 1 && len(r.addresses) == 0 {
		b.report(n.Line, "found resource %s that leads nowhere, expected addresses, chain or private_link", name)
	}
	b.resources = append(b.resources, r)
}

// placeResources puts the resources' chains into the public zones. It does
// nothing after a mistake: names may be missing then.
func (b *builder) placeResources() {
	if len(b.mistakes) > 0 {
		return
	}
	for _, r := range b.resources {
		for i, name := range r.names {
			z, _ := longest(b.world.public, name)
			header := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: r.ttl}
			if i+1 < len(r.names) {
				header.Rrtype = dns.TypeCNAME
				b.add(r.line, z, &dns.CNAME{Hdr: header, Target: r.names[i+1]})
				continue
			}
			for _, address := range r.addresses {
				b.add(r.line, z, addressRecord(header, address))
			}
		}
	}
}

func addressRecord(header dns.RR_Header, address netip.Addr) dns.RR {
	if address.Is4() {
		header.Rrtype = dns.TypeA
		return &dns.A{Hdr: header, A: address.AsSlice()}
	}
	header.Rrtype = dns.TypeAAAA
	return &dns.AAAA{Hdr: header, AAAA: address.AsSlice()}
}
