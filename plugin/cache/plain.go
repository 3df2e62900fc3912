package cache

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// plainRoom is the longest message that is packed here.
const plainRoom = 512

// plain packs what nearly every answer is: a chain of CNAMEs that ends in addresses, for
// who takes no DNSSEC records. It is what pick and pack make of the same reply, octet for
// octet, for a tenth of the work.
type plain struct {
	class   uint16
	maximum uint32
	source  []dns.RR
	life    uint32 // the least TTL so far
	// The message is in here, and not behind a slice, so that it needs no heap.
	room [plainRoom]byte
	size int
	// suffixes are the ends of names, from a label on, that can be pointed to.
	suffixes [16]struct {
		text string
		at   int
	}
	known int
	// odd: this is something for pick and pack.
	odd bool
}

// pack packs the reply to a key's question, whose name is given too. It reports false for
// what it cannot pack. The zero value is ready, for one reply.
func (p *plain) pack(key *Key, name string, reply *dns.Msg, maximum uint32) bool {
	qtype := key.Question.Type
	if key.DO || reply.Rcode != dns.RcodeSuccess || qtype != dns.TypeA && qtype != dns.TypeAAAA {
		return false
	}
	p.class, p.maximum, p.source, p.life = key.Question.Class, maximum, reply.Answer, maxTTL
	p.room[2], p.room[5], p.size = flagQR, 1, headerSize
	if reply.AuthenticatedData {
		p.room[3] = flagAD
	}
	p.addName(name)
	p.addNumber(qtype)
	p.addNumber(p.class)
	p.addAddresses(p.follow(name), qtype)
	return !p.odd
}

// message is what was packed.
func (p *plain) message() []byte { return p.room[:p.size] }

// Flags in the third and the fourth octet of a header (RFC 1035 section 4.1.1, RFC 4035
// section 3).
const (
	flagQR = 1 << 7
	flagAD = 1 << 5
)

// follow packs the chain from a name and returns the name at its end.
func (p *plain) follow(owner string) string {
	for range maxLinks {
		cname := p.cnameAt(owner)
		if cname == nil {
			return owner
		}
		ttl := min(p.maximum, ttlOf(cname))
		target := wire.CanonicalName(cname.Target)
		p.add(owner, dns.TypeCNAME, ttl)
		start := p.size
		p.addName(target)
		binary.BigEndian.PutUint16(p.room[start-2:], uint16(p.size-start))
		owner = target
	}
	p.odd = true // too long, or a loop
	return owner
}

// cnameAt finds the alias of a name.
func (p *plain) cnameAt(owner string) *dns.CNAME {
	for _, record := range p.source {
		switch record := record.(type) {
		case *dns.CNAME:
			if p.owns(&record.Hdr, owner) {
				return record
			}
		case *dns.DNAME:
			p.odd = true
		}
	}
	return nil
}

func (p *plain) owns(header *dns.RR_Header, owner string) bool {
	return header.Class == p.class && wire.SameName(header.Name, owner)
}

// addAddresses packs the addresses of a name. A set without any, or with one twice, is
// odd.
func (p *plain) addAddresses(owner string, qtype uint16) {
	ttl, first := p.maximum, p.size
	for _, record := range p.source {
		if header := record.Header(); header.Rrtype == qtype && p.owns(header, owner) {
			ttl = min(ttl, ttlOf(record))
		}
	}
	before := p.answers()
	for _, record := range p.source {
		if header := record.Header(); header.Rrtype == qtype && p.owns(header, owner) {
			p.addAddress(owner, qtype, ttl, addressOf(record), p.room[first:p.size])
		}
	}
	if p.answers() == before {
		p.odd = true
	}
}

// addAddress packs an address record, and looks for the same one in the set so far.
func (p *plain) addAddress(owner string, qtype uint16, ttl uint32, address net.IP, set []byte) {
	// Octets that look like the address by chance do no harm.
	if p.odd || len(address) == 0 || bytes.Contains(set, address) {
		p.odd = true
		return
	}
	p.add(owner, qtype, ttl)
	p.room[p.size-1] = byte(len(address))
	p.addOctets(address)
}

// addressOf returns an address as it is packed, nil for one that is not of its type.
func addressOf(record dns.RR) net.IP {
	switch record := record.(type) {
	case *dns.A:
		return record.A.To4()
	case *dns.AAAA:
		if len(record.AAAA) == net.IPv6len {
			return record.AAAA
		}
	}
	return nil
}

// add packs a record without data.
func (p *plain) add(owner string, rtype uint16, ttl uint32) {
	p.life = min(p.life, ttl)
	p.room[7]++
	p.odd = p.odd || p.answers() > maxDistinct
	p.addName(owner)
	p.addNumber(rtype)
	p.addNumber(p.class)
	p.addNumber(uint16(ttl >> 16))
	p.addNumber(uint16(ttl))
	p.addNumber(0)
}

// answers is how many records were packed, while they are not too many.
func (p *plain) answers() int { return int(p.room[7]) }

func (p *plain) addNumber(number uint16) { p.addOctets([]byte{byte(number >> 8), byte(number)}) }

// addOctets packs octets. A message that does not fit is odd.
func (p *plain) addOctets(octets []byte) {
	if p.size+len(octets) > plainRoom {
		p.odd = true
		return
	}
	p.size += copy(p.room[p.size:], octets)
}

// addName packs a name, in lower case, and points to what of it stands in the message
// already (RFC 1035 section 4.1.4).
func (p *plain) addName(name string) {
	p.odd = p.odd || len(name) >= maxNameSize
	for rest := name; rest != ""; {
		if at, found := p.find(rest); found {
			p.addNumber(pointer | uint16(at))
			return
		}
		label, after, ended := strings.Cut(rest, ".")
		if !ended || !plainLabel(label) || p.known == len(p.suffixes) || p.size+len(rest) >= plainRoom {
			p.odd = true
			return
		}
		p.suffixes[p.known].text, p.suffixes[p.known].at = rest, p.size
		p.known++
		p.room[p.size] = byte(len(label))
		p.size += 1 + copy(p.room[p.size+1:], label)
		rest = after
	}
	p.addOctets([]byte{0})
}

// maxNameSize is the longest name in wire form (RFC 1035 section 3.1).
const maxNameSize = 255

// pointer marks two octets as a pointer to a name.
const pointer = 0xc000

func (p *plain) find(suffix string) (at int, found bool) {
	for i := range p.suffixes[:p.known] {
		if p.suffixes[i].text == suffix {
			return p.suffixes[i].at, true
		}
	}
	return 0, false
}

// plainLabel reports whether a label stands for itself in presentation form.
func plainLabel(label string) bool {
	for i := range len(label) {
		if c := label[i]; (c < 'a' || 'z' < c) && (c < '0' || '9' < c) && c != '-' && c != '_' {
			return false
		}
	}
	return label != "" && len(label) <= 63
}
