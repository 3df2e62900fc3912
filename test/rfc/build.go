//go:build linux

package rfc

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"
)

// rr is a resource record to be written.
type rr struct {
	owner name
	rtype uint16
	ttl   uint32
	data  []byte
}

func address(owner name, ttl uint32, text string) rr {
	parsed := netip.MustParseAddr(text)
	rtype := dns.TypeA
	if parsed.Is6() {
		rtype = dns.TypeAAAA
	}
	return rr{owner, rtype, ttl, parsed.AsSlice()}
}

func cname(owner name, ttl uint32, target name) rr {
	return rr{owner, dns.TypeCNAME, ttl, []byte(target)}
}

// soa has the zone's name as its owner.
func soa(zone name, ttl, minimum uint32) rr {
	data := append([]byte(zone.under("ns")), zone.under("hostmaster")...)
	for _, value := range []uint32{1, 3600, 600, 86400, minimum} {
		data = binary.BigEndian.AppendUint32(data, value)
	}
	return rr{zone, dns.TypeSOA, ttl, data}
}

// text is a TXT record of length bytes of text.
func text(owner name, ttl uint32, length int) rr {
	var data []byte
	for length > 0 {
		part := min(length, 255)
		data = append(data, byte(part))
		for index := range part {
			data = append(data, 'a'+byte((len(data)+index)%26))
		}
		length -= part
	}
	return rr{owner, dns.TypeTXT, ttl, data}
}

// edns is an OPT record to be written.
type edns struct {
	size    uint16
	rcode   byte // the upper bits
	version byte
	flags   uint16
	options []byte
	owner   name // empty for the root
}

// optionOf writes an EDNS option.
func optionOf(code uint16, data ...byte) []byte {
	head := binary.BigEndian.AppendUint16(nil, code)
	return append(binary.BigEndian.AppendUint16(head, uint16(len(data))), data...)
}

func (e *edns) appendTo(packet []byte) []byte {
	owner := e.owner
	if owner == "" {
		owner = root
	}
	ttl := uint32(e.rcode)<<24 | uint32(e.version)<<16 | uint32(e.flags)
	return appendRecord(packet, owner, dns.TypeOPT, e.size, ttl, e.options)
}

func appendHeader(packet []byte, id, flags uint16, counts ...uint16) []byte {
	packet = binary.BigEndian.AppendUint16(packet, id)
	packet = binary.BigEndian.AppendUint16(packet, flags)
	for index := range 4 {
		count := uint16(0)
		if index < len(counts) {
			count = counts[index]
		}
		packet = binary.BigEndian.AppendUint16(packet, count)
	}
	return packet
}

func appendQuestion(packet []byte, n name, qtype, qclass uint16) []byte {
	packet = append(packet, n...)
	packet = binary.BigEndian.AppendUint16(packet, qtype)
	return binary.BigEndian.AppendUint16(packet, qclass)
}

func appendRecord(packet []byte, owner name, rtype, class uint16, ttl uint32, data []byte) []byte {
	packet = append(packet, owner...)
	packet = binary.BigEndian.AppendUint16(packet, rtype)
	packet = binary.BigEndian.AppendUint16(packet, class)
	packet = binary.BigEndian.AppendUint32(packet, ttl)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(data)))
	return append(packet, data...)
}

// query is a client's message in the making.
type query struct {
	id, flags     uint16
	name          name
	qtype, qclass uint16
	edns          *edns
	tcp           bool
	// counts overrides the header's counts, rest stands behind everything.
	counts []uint16
	rest   []byte
}

// packet writes a query.
func (q *query) packet() []byte {
	counts := q.counts
	if counts == nil {
		counts = []uint16{1, 0, 0, 0}
		if q.edns != nil {
			counts[3] = 1
		}
	}
	packet := appendQuestion(appendHeader(nil, q.id, q.flags, counts...), q.name, q.qtype, q.qclass)
	if q.edns != nil {
		packet = q.edns.appendTo(packet)
	}
	return append(packet, q.rest...)
}

// with returns a copy of the query that is changed.
func (q *query) with(change func(*query)) *query {
	changed := *q
	changed.id = randomID()
	if q.edns != nil {
		options := *q.edns
		changed.edns = &options
	}
	change(&changed)
	return &changed
}

// plain is the query without EDNS.
func (q *query) plain() *query { return q.with(func(q *query) { q.edns = nil }) }

// overTCP is the query over TCP.
func (q *query) overTCP() *query { return q.with(func(q *query) { q.tcp = true }) }

// flagged is the query with more flags in its header.
func (q *query) flagged(flags uint16) *query { return q.with(func(q *query) { q.flags |= flags }) }

// dnssec is the query with DO.
func (q *query) dnssec() *query { return q.with(func(q *query) { q.edns.flags |= flagDO }) }

// sized is the query with another size in its OPT record.
func (q *query) sized(size uint16) *query { return q.with(func(q *query) { q.edns.size = size }) }

// option is the query with one more EDNS option.
func (q *query) option(code uint16, data ...byte) *query {
	return q.with(func(q *query) {
		q.edns.options = append(append([]byte(nil), q.edns.options...), optionOf(code, data...)...)
	})
}

// spelled is the query with its name spelled otherwise.
func (q *query) spelled(n name) *query { return q.with(func(q *query) { q.name = n }) }

// typed is the query for another type.
func (q *query) typed(qtype uint16) *query { return q.with(func(q *query) { q.qtype = qtype }) }
