package cache

import (
	"slices"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

const (
	// maxLinks bounds the work that a hostile answer can cause; resolvers give up
	// at about the same length.
	maxLinks = 16
	// maxTTL is the longest TTL that is one (RFC 2181 section 8).
	maxTTL = 1<<31 - 1
)

// picked is what belongs to a question in a reply.
type picked struct {
	kind              Kind
	answer, authority []dns.RR
	// life is the least TTL, in seconds.
	life uint32
	// complete: the chain has an end, and something was said about it.
	complete bool
}

// picker walks through a reply.
type picker struct {
	picked
	class   uint16
	dnssec  bool
	maximum uint32
	source  []dns.RR
	// ended: the chain is no longer than it may be.
	ended bool
}

// pick finds what belongs to a question. The records are copies.
func pick(key *Key, name string, reply *dns.Msg, lifetimes Lifetimes) picked {
	p := &picker{
		class: key.Question.Class, dnssec: key.DO, source: reply.Answer,
		maximum: wholeSeconds(lifetimes.MaxTTL),
		picked:  picked{life: maxTTL},
	}
	qtype := key.Question.Type
	owner := p.follow(name, qtype)
	if p.ended && reply.Rcode == dns.RcodeSuccess {
		p.complete = p.take(owner, qtype)
	}
	if p.complete {
		p.takeProof(reply.Ns)
		return p.picked
	}
	p.kind = NoData
	if reply.Rcode == dns.RcodeNameError {
		p.kind = NXDomain
	}
	if p.ended {
		p.takeAuthority(owner, reply.Ns, wholeSeconds(lifetimes.MaxNegativeTTL))
	}
	return p.picked
}

// follow takes the chain from a name and returns the name at its end. Who asks for
// the CNAME itself is answered by it.
func (p *picker) follow(owner string, qtype uint16) string {
	if qtype == dns.TypeCNAME || qtype == dns.TypeANY {
		p.ended = true
		return owner
	}
	for range maxLinks {
		cname := p.cnameAt(owner)
		if cname == nil {
			p.ended = true
			return owner
		}
		if p.took(owner) {
			return owner
		}
		p.takeDNAME(owner)
		target := dns.CanonicalName(cname.Target)
		p.takeSet([]dns.RR{cname}, owner)
		p.answer[len(p.answer)-1].(*dns.CNAME).Target = target
		p.takeSignatures(owner, dns.TypeCNAME)
		owner = target
	}
	return owner
}

// took reports whether the chain was at a name before: it is a loop then.
func (p *picker) took(owner string) bool {
	for _, record := range p.answer {
		if header := record.Header(); header.Rrtype == dns.TypeCNAME && header.Name == owner {
			return true
		}
	}
	return false
}

func (p *picker) cnameAt(owner string) *dns.CNAME {
	for _, record := range p.source {
		if cname, ok := record.(*dns.CNAME); ok && p.owns(record, owner) {
			return cname
		}
	}
	return nil
}

// takeDNAME takes the DNAME record that a CNAME record was made from (RFC 6672
// section 3.1), with its signature.
func (p *picker) takeDNAME(owner string) {
	for _, record := range p.source {
		header := record.Header()
		if header.Rrtype != dns.TypeDNAME || header.Class != p.class {
			continue
		}
		above := dns.CanonicalName(header.Name)
		if above != owner && dns.IsSubDomain(above, owner) {
			p.takeSet([]dns.RR{record}, above)
			p.takeSignatures(above, dns.TypeDNAME)
			return
		}
	}
}

// take takes the records at the end of the chain and reports whether there are any.
func (p *picker) take(owner string, qtype uint16) bool {
	if qtype == dns.TypeANY {
		return p.takeAll(owner)
	}
	var set []dns.RR
	for _, record := range p.source {
		if record.Header().Rrtype == qtype && p.owns(record, owner) {
			set = append(set, record)
		}
	}
	p.takeSet(set, owner)
	if len(set) > 0 && qtype != dns.TypeRRSIG {
		p.takeSignatures(owner, qtype)
	}
	return len(set) > 0
}

// takeAll takes every set of a name, for ANY.
func (p *picker) takeAll(owner string) bool {
	found := false
	for _, record := range p.source {
		if p.owns(record, owner) {
			p.takeSet([]dns.RR{record}, owner)
			found = true
		}
	}
	return found
}

func (p *picker) owns(record dns.RR, owner string) bool {
	header := record.Header()
	return header.Class == p.class && !isMeta(header.Rrtype) && wire.SameName(header.Name, owner)
}

// isMeta reports whether a type is of the transport, not of the data.
func isMeta(rtype uint16) bool {
	return rtype == dns.TypeOPT || rtype == dns.TypeTSIG || rtype == dns.TypeTKEY
}

// maxDistinct bounds the comparisons of a set's records with each other.
const maxDistinct = 32

// distinct leaves out records that a set has already (RFC 2181 section 5). Of a set
// that is too large to compare, nothing is left out.
func distinct(set []dns.RR) []dns.RR {
	if len(set) < 2 || len(set) > maxDistinct {
		return set
	}
	kept := make([]dns.RR, 0, len(set))
	for _, record := range set {
		if !slices.ContainsFunc(kept, func(other dns.RR) bool { return dns.IsDuplicate(record, other) }) {
			kept = append(kept, record)
		}
	}
	return kept
}

// takeSet takes copies of the records of a set under one TTL.
func (p *picker) takeSet(set []dns.RR, owner string) {
	ttl := p.maximum
	for _, record := range set {
		ttl = min(ttl, ttlOf(record))
	}
	for _, record := range distinct(set) {
		p.answer = append(p.answer, copyOf(record, owner, ttl))
	}
	if len(set) > 0 {
		p.life = min(p.life, ttl)
	}
}

func (p *picker) takeSignatures(owner string, covered uint16) {
	if !p.dnssec {
		return
	}
	var set []dns.RR
	for _, record := range p.source {
		if signature, ok := record.(*dns.RRSIG); ok && signature.TypeCovered == covered && p.owns(record, owner) {
			set = append(set, record)
		}
	}
	p.takeSet(set, owner)
}

// takeAuthority takes the SOA record for a negative answer about a name, and with
// DO the proof, and sets the answer's life.
func (p *picker) takeAuthority(owner string, source []dns.RR, maximum uint32) {
	soa := p.soaAbove(owner, source)
	if soa == nil {
		return
	}
	zone := dns.CanonicalName(soa.Hdr.Name)
	p.complete = true
	p.life = min(p.life, maximum, ttlOf(soa), soa.Minttl)
	p.authority = append(p.authority, copyOf(soa, zone, p.life))
	p.takeProof(source)
	for _, record := range p.authority {
		record.Header().Ttl = p.life
	}
}

// takeProof takes what proves a negative answer, or that a positive one was made
// from a wildcard (RFC 4035 section 3.1.3).
func (p *picker) takeProof(source []dns.RR) {
	if !p.dnssec {
		return
	}
	for _, record := range source {
		if header := record.Header(); proves(record) && header.Class == p.class {
			p.life = min(p.life, ttlOf(record))
			p.authority = append(p.authority, copyOf(record, dns.CanonicalName(header.Name), min(ttlOf(record), p.maximum)))
		}
	}
}

// soaAbove finds the SOA record of a zone that a name lies in: another zone's says
// nothing about the name.
func (p *picker) soaAbove(owner string, source []dns.RR) *dns.SOA {
	for _, record := range source {
		soa, ok := record.(*dns.SOA)
		if ok && soa.Hdr.Class == p.class && dns.IsSubDomain(soa.Hdr.Name, owner) {
			return soa
		}
	}
	return nil
}

// proves reports whether a record is a proof of what is not there, or signs one.
func proves(record dns.RR) bool {
	switch record := record.(type) {
	case *dns.NSEC, *dns.NSEC3:
		return true
	case *dns.RRSIG:
		covered := record.TypeCovered
		return covered == dns.TypeSOA || covered == dns.TypeNSEC || covered == dns.TypeNSEC3
	}
	return false
}

func ttlOf(record dns.RR) uint32 {
	if ttl := record.Header().Ttl; ttl <= maxTTL {
		return ttl
	}
	return 0
}

func copyOf(record dns.RR, owner string, ttl uint32) dns.RR {
	kept := dns.Copy(record)
	header := kept.Header()
	header.Name, header.Ttl = owner, ttl
	return kept
}
