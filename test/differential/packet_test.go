//go:build linux

package differential

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Bits of a header's flags.
const (
	flagQR = 1 << 15
	flagRD = 1 << 8
	flagAD = 1 << 5
	flagCD = 1 << 4
	// flagDO is the OPT record's.
	flagDO = 1 << 15
)

// request is a message to be written, whether anybody should send it or not.
type request struct {
	flags         uint16 // opcode and rcode included
	name          []byte // in wire form
	qtype, qclass uint16
	edns          *edns
	// records are further ones, with the section that each stands in: 0 answer, 1
	// authority, 2 additional before the OPT record, 3 behind it.
	records []placed
}

type placed struct {
	section int
	bytes   []byte
}

// edns is an OPT record.
type edns struct {
	owner   []byte
	size    uint16
	ttl     uint32
	options []byte
}

// pack writes the message, with the id 0.
func (r *request) pack() []byte {
	packet := binary.BigEndian.AppendUint16(make([]byte, 2, 128), r.flags)
	packet = append(packet, 0, 1, 0, 0, 0, 0, 0, 0)
	packet = append(packet, r.name...)
	packet = binary.BigEndian.AppendUint16(packet, r.qtype)
	packet = binary.BigEndian.AppendUint16(packet, r.qclass)
	for section := range 4 {
		for _, record := range r.records {
			if record.section == section {
				packet = append(packet, record.bytes...)
				packet[7+2*min(section, 2)]++
			}
		}
		if section == 2 && r.edns != nil {
			packet = append(packet, r.edns.pack()...)
			packet[11]++
		}
	}
	return packet
}

func (e *edns) pack() []byte { return record(e.owner, dns.TypeOPT, e.size, e.ttl, e.options) }

// record writes a resource record.
func record(owner []byte, rtype, class uint16, ttl uint32, data []byte) []byte {
	packet := binary.BigEndian.AppendUint16(append([]byte(nil), owner...), rtype)
	packet = binary.BigEndian.AppendUint16(packet, class)
	packet = binary.BigEndian.AppendUint32(packet, ttl)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(data)))
	return append(packet, data...)
}

// option writes an EDNS option.
func option(code uint16, data ...byte) []byte {
	head := binary.BigEndian.AppendUint16(nil, code)
	return append(binary.BigEndian.AppendUint16(head, uint16(len(data))), data...)
}

// wireName writes labels as a name.
func wireName(labels ...string) []byte {
	var name []byte
	for _, label := range labels {
		name = append(append(name, byte(len(label))), label...)
	}
	return append(name, 0)
}

// shape is what can be told of a message without reading what its records hold.
type shape struct {
	short, reply, oneQuestion bool
	opcode                    int
	qtype, qclass             uint16
	// name says that the question can be read, whole that everything can that the
	// header promises, and behind that there are bytes behind it.
	name, whole, behind bool
	// compressed says that the question's name has a pointer in it.
	compressed bool
	opts       [][]byte // RDATA of the OPT records of the additional section
	version    byte     // of the first of them
	size       int      // that the first of them tells, 0 for none
	misplaced  bool     // an OPT record elsewhere, or one whose owner is not the root
	records    int      // apart from OPT
	counts     [4]int
}

// shapeOf reads a message as RFC 1035 section 4.1 says it is written. It is no part of
// what it judges: both servers read by code of their own.
func shapeOf(packet []byte) shape {
	s := shape{short: len(packet) < 12}
	if s.short {
		return s
	}
	for i := range s.counts {
		s.counts[i] = int(binary.BigEndian.Uint16(packet[4+2*i:]))
	}
	s.reply, s.opcode, s.oneQuestion = packet[2]&0x80 != 0, int(packet[2]>>3&0xf), s.counts[0] == 1
	at := 12
	for range s.counts[0] {
		end, compressed := skipName(packet, at)
		if end == 0 || end+4 > len(packet) {
			return s
		}
		s.qtype, s.qclass = binary.BigEndian.Uint16(packet[end:]), binary.BigEndian.Uint16(packet[end+2:])
		s.compressed = s.compressed || compressed
		at = end + 4
	}
	s.name = true
	for section := 1; section < 4; section++ {
		for range s.counts[section] {
			if at = s.record(packet, at, section); at == 0 {
				return s
			}
		}
	}
	s.whole, s.behind = true, at < len(packet)
	return s
}

// record reads one record and returns its end, 0 where it is cut off.
func (s *shape) record(packet []byte, at, section int) int {
	fixed, _ := skipName(packet, at)
	if fixed == 0 || fixed+10 > len(packet) {
		return 0
	}
	end := fixed + 10 + int(binary.BigEndian.Uint16(packet[fixed+8:]))
	if end > len(packet) {
		return 0
	}
	switch {
	case binary.BigEndian.Uint16(packet[fixed:]) != dns.TypeOPT:
		s.records++
	case section < 3 || packet[at] != 0:
		s.misplaced = true
	default:
		if len(s.opts) == 0 {
			s.version, s.size = packet[fixed+5], int(binary.BigEndian.Uint16(packet[fixed+2:]))
		}
		s.opts = append(s.opts, packet[fixed+10:end])
	}
	return end
}

// skipName returns where a name ends, 0 where that cannot be told.
func skipName(packet []byte, at int) (end int, compressed bool) {
	for start := at; at < len(packet); {
		switch length := int(packet[at]); {
		case length == 0:
			if at-start > 254 {
				return 0, false
			}
			return at + 1, false
		case length >= 0xc0:
			return at + 2, true
		case length > 63:
			return 0, false
		default:
			at += 1 + length
		}
	}
	return 0, false
}

// options splits the RDATA of an OPT record, false where that cannot be done.
func options(data []byte) (codes []uint16, bodies [][]byte, whole bool) {
	for len(data) > 0 {
		if len(data) < 4 || 4+int(binary.BigEndian.Uint16(data[2:])) > len(data) {
			return codes, bodies, false
		}
		length := int(binary.BigEndian.Uint16(data[2:]))
		codes, bodies = append(codes, binary.BigEndian.Uint16(data)), append(bodies, data[4:4+length])
		data = data[4+length:]
	}
	return codes, bodies, true
}
