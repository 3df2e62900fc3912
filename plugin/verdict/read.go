package verdict

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// Reader judges kept answers. It finds what Of finds, and allocates nothing once
// it has judged an answer of the same length. It is not safe for concurrent use;
// the zero value is ready.
type Reader struct {
	links     []Link
	addresses []netip.Addr
	types     []uint16
	// names holds the text that links are parts of.
	names []byte
}

// Of judges a message that is wire.Whole, whose question is name, lower case and
// fully qualified, and qtype. The finding, its names included, is the reader's and
// lasts until the next call.
func (r *Reader) Of(name string, qtype uint16, message []byte, zones *catalog.Catalog, private Networks) Finding {
	finding := Finding{Chain: r.follow(message)}
	finding.noteAll(name, zones)
	finding.Verdict = judge(qtype, int(message[3]&0xf), &finding, private)
	return finding
}

// Holds reports whether any record of a message's answer section, whosever it is, has an
// address or an address hint in one of the networks. The finding of the last call of Of
// stays as it is.
func (r *Reader) Holds(message []byte, networks Networks) bool {
	before := len(r.addresses)
	defer func() { r.addresses = r.addresses[:before] }()
	answers := wire.AnswersOf(message)
	for record, more := answers.Next(); more; record, more = answers.Next() {
		r.addAddresses(record)
	}
	return slices.ContainsFunc(r.addresses[before:], networks.Contain)
}

// follow walks the answer section from the question's name, as the function of
// that name does with records.
func (r *Reader) follow(message []byte) Chain {
	r.links, r.addresses, r.types, r.names = r.links[:0], r.addresses[:0], r.types[:0], r.names[:0]
	question := wire.StoredQuestion(message)
	owner := wire.NameOf(&question)
	for len(r.links) < maxLinks && r.followCNAME(message, &owner) {
		continue
	}
	chain := Chain{Links: r.links}
	if _, more := cnameIn(message, &owner); more {
		chain.endless = true
		return chain
	}
	answers := wire.AnswersOf(message)
	for record, more := answers.Next(); more; record, more = answers.Next() {
		if record.OwnedBy(&owner) {
			r.types = append(r.types, record.Type())
			r.addAddresses(record)
		}
	}
	chain.types, chain.Addresses = r.types, r.addresses
	return chain
}

// followCNAME adds the link that leads on from owner, which becomes its target.
func (r *Reader) followCNAME(message []byte, owner *wire.Name) bool {
	cname, found := cnameIn(message, owner)
	if !found || !cname.Target(owner) {
		return false
	}
	start := len(r.names)
	r.names = owner.AppendPresentation(r.names)
	r.links = append(r.links, Link{Target: textOf(r.names[start:]), TTL: time.Duration(cname.TTL()) * time.Second})
	return true
}

// textOf is a string that shares its bytes: they do not change while it is used.
func textOf(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// cnameIn finds the CNAME record of a name.
func cnameIn(message []byte, owner *wire.Name) (wire.Record, bool) {
	answers := wire.AnswersOf(message)
	for record, more := answers.Next(); more; record, more = answers.Next() {
		if record.Type() == dns.TypeCNAME && record.OwnedBy(owner) {
			return record, true
		}
	}
	return wire.Record{}, false
}

func (r *Reader) addAddresses(record wire.Record) {
	switch data := record.Data(); record.Type() {
	case dns.TypeA, dns.TypeAAAA:
		r.addAddress(data)
	case dns.TypeHTTPS, dns.TypeSVCB:
		r.addHints(data)
	}
}

func (r *Reader) addAddress(octets []byte) {
	if address, ok := netip.AddrFromSlice(octets); ok {
		r.addresses = append(r.addresses, address.Unmap())
	}
}

// hintSizes are the sizes of an address in the hints of a service binding, by the
// parameter's key (RFC 9460 section 14.3.2).
var hintSizes = [...]int{4: net.IPv4len, 6: net.IPv6len}

// addHints adds the address hints of a service binding (RFC 9460 section 2.2):
// priority, target, and parameters of a key, a length and a value each.
func (r *Reader) addHints(data []byte) {
	at := 2
	for at < len(data) && data[at] != 0 {
		at += 1 + int(data[at])
	}
	at++
	for at+4 <= len(data) {
		key, size := int(binary.BigEndian.Uint16(data[at:])), int(binary.BigEndian.Uint16(data[at+2:]))
		at += 4
		end := at + size
		if end > len(data) {
			return
		}
		if key < len(hintSizes) && hintSizes[key] > 0 {
			for ; at+hintSizes[key] <= end; at += hintSizes[key] {
				r.addAddress(data[at : at+hintSizes[key]])
			}
		}
		at = end
	}
}
