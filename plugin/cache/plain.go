package cache

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"

	"github.com/miekg/dns"
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
	message []byte
	// suffixes are the ends of names, from a label on, that can be pointed to.
	suffixes [16]struct {
		text string
		at   int
	}
	known int
	// odd: this is something for pick and pack.
	odd bool
}

// packPlain packs the reply to a key's question, whose name is given too, into room, and
// returns the least TTL, too. It reports false for what it cannot pack.
func packPlain(room []byte, key *Key, name string, reply *dns.Msg, maximum uint32) (message []byte, life uint32, packed bool) {
	qtype := key.Question.Type
	if key.DO || reply.Rcode != dns.RcodeSuccess || qtype != dns.TypeA && qtype != dns.TypeAAAA {
		return nil, 0, false
	}
	p := plain{class: key.Question.Class, maximum: maximum, source: reply.Answer, life: maxTTL}
	p.message = append(room[:0], 0, 0, flagQR, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	if reply.AuthenticatedData {
		p.message[3] = flagAD
	}
	p.addName(name)
	p.message = binary.BigEndian.AppendUint16(p.message, qtype)
	p.message = binary.BigEndian.AppendUint16(p.message, p.class)
	p.addAddresses(p.follow(name), qtype)
	return p.message, p.life, !p.odd
}

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
		target := dns.CanonicalName(cname.Target)
		p.add(owner, dns.TypeCNAME, ttl)
		start := len(p.message)
		p.addName(target)
		binary.BigEndian.PutUint16(p.message[start-2:], uint16(len(p.message)-start))
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
	return header.Class == p.class && sameName(header.Name, owner)
}

// addAddresses packs the addresses of a name. A set without any, or with one twice, is
// odd.
func (p *plain) addAddresses(owner string, qtype uint16) {
	ttl, first := p.maximum, len(p.message)
	for _, record := range p.source {
		if header := record.Header(); header.Rrtype == qtype && p.owns(header, owner) {
			ttl = min(ttl, ttlOf(record))
		}
	}
	before := p.message[7]
	for _, record := range p.source {
		if header := record.Header(); header.Rrtype == qtype && p.owns(header, owner) {
			p.addAddress(owner, qtype, ttl, addressOf(record), p.message[first:])
		}
	}
	if p.message[7] == before {
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
	p.message[len(p.message)-1] = byte(len(address))
	p.message = append(p.message, address...)
	p.odd = p.odd || len(p.message) > plainRoom
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
	p.message[7]++
	p.odd = p.odd || p.message[7] > maxDistinct
	p.addName(owner)
	p.message = binary.BigEndian.AppendUint16(p.message, rtype)
	p.message = binary.BigEndian.AppendUint16(p.message, p.class)
	p.message = binary.BigEndian.AppendUint32(p.message, ttl)
	p.message = append(p.message, 0, 0)
}

// addName packs a name, in lower case, and points to what of it stands in the message
// already (RFC 1035 section 4.1.4).
func (p *plain) addName(name string) {
	p.odd = p.odd || len(name) >= maxNameSize
	for rest := name; rest != ""; {
		if at, found := p.find(rest); found {
			p.message = binary.BigEndian.AppendUint16(p.message, pointer|uint16(at))
			return
		}
		label, after, ended := strings.Cut(rest, ".")
		if !ended || !plainLabel(label) || p.known == len(p.suffixes) || len(p.message)+len(rest) >= plainRoom {
			p.odd = true
			return
		}
		p.suffixes[p.known].text, p.suffixes[p.known].at = rest, len(p.message)
		p.known++
		p.message = append(append(p.message, byte(len(label))), label...)
		rest = after
	}
	p.message = append(p.message, 0)
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
