//go:build linux

package rfc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// The flags of a header, and DO of an OPT record.
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagZ  = 1 << 6
	flagAD = 1 << 5
	flagCD = 1 << 4

	flagDO = 1 << 15
)

const (
	headerSize = 12
	maxName    = 255
)

// The sections behind the question.
const (
	answer = iota
	authority
	additional
)

// message is what was read from a packet.
type message struct {
	raw       []byte
	id, flags uint16
	counts    [4]uint16
	questions []question
	sections  [3][]record
	// trailing is how many bytes stand behind the last record.
	trailing int
}

type question struct {
	name          name
	qtype, qclass uint16
	// raw are its bytes in the packet.
	raw []byte
}

// record is a resource record as it stands in a packet.
type record struct {
	owner        name
	rtype, class uint16
	ttl          uint32
	// data is RDATA as it stands, at where it begins in the packet; full is the
	// same with the names of the types of RFC 1035 written out.
	data, full []byte
	at         int
}

// option is an EDNS option.
type option struct {
	code uint16
	data []byte
}

func (m *message) opcode() int { return int(m.flags >> 11 & 15) }

func (m *message) has(flag uint16) bool { return m.flags&flag != 0 }

// rcode is the code with its upper bits from the OPT record.
func (m *message) rcode() int {
	code := int(m.flags & 15)
	if opt := m.opt(); opt != nil {
		code |= int(opt.ttl>>24) << 4
	}
	return code
}

// all returns the records of a type in one section.
func (m *message) all(section int, rtype uint16) []record {
	var found []record
	for _, r := range m.sections[section] {
		if r.rtype == rtype {
			found = append(found, r)
		}
	}
	return found
}

// opt returns the first OPT record of the additional section, nil for none.
func (m *message) opt() *record {
	if list := m.all(additional, dns.TypeOPT); len(list) > 0 {
		return &list[0]
	}
	return nil
}

// options returns the EDNS options, none if they cannot be read.
func (m *message) options() []option {
	opt := m.opt()
	if opt == nil {
		return nil
	}
	var list []option
	for rest := opt.data; len(rest) >= 4; {
		length := int(binary.BigEndian.Uint16(rest[2:]))
		if 4+length > len(rest) {
			break
		}
		list = append(list, option{binary.BigEndian.Uint16(rest), rest[4 : 4+length]})
		rest = rest[4+length:]
	}
	return list
}

// option returns the data of the first option with a code.
func (m *message) option(code uint16) (data []byte, found bool) {
	for _, o := range m.options() {
		if o.code == code {
			return o.data, true
		}
	}
	return nil, false
}

// errShort is what a packet ends with that is cut off.
var errShort = errors.New("the message ends too early")

// read reads a packet.
func read(packet []byte) (*message, error) {
	if len(packet) < headerSize {
		return nil, errShort
	}
	m := &message{raw: packet, id: binary.BigEndian.Uint16(packet), flags: binary.BigEndian.Uint16(packet[2:])}
	for index := range m.counts {
		m.counts[index] = binary.BigEndian.Uint16(packet[4+2*index:])
	}
	at := headerSize
	for range m.counts[0] {
		n, end, err := readName(packet, at)
		if err != nil {
			return nil, fmt.Errorf("question: %w", err)
		}
		if end+4 > len(packet) {
			return nil, errShort
		}
		m.questions = append(m.questions, question{n, binary.BigEndian.Uint16(packet[end:]), binary.BigEndian.Uint16(packet[end+2:]), packet[at : end+4]})
		at = end + 4
	}
	for section := range m.sections {
		for range m.counts[1+section] {
			r, end, err := readRecord(packet, at)
			if err != nil {
				return nil, fmt.Errorf("record at byte %d: %w", at, err)
			}
			m.sections[section] = append(m.sections[section], r)
			at = end
		}
	}
	m.trailing = len(packet) - at
	return m, nil
}

func readRecord(packet []byte, at int) (r record, end int, err error) {
	r.owner, at, err = readName(packet, at)
	if err != nil {
		return r, 0, err
	}
	if at+10 > len(packet) {
		return r, 0, errShort
	}
	r.rtype, r.class = binary.BigEndian.Uint16(packet[at:]), binary.BigEndian.Uint16(packet[at+2:])
	r.ttl = binary.BigEndian.Uint32(packet[at+4:])
	r.at = at + 10
	end = r.at + int(binary.BigEndian.Uint16(packet[at+8:]))
	if end > len(packet) {
		return r, 0, errShort
	}
	r.data = packet[r.at:end]
	r.full, err = expand(packet, r)
	return r, end, err
}

// leading is how many bytes stand before the names of RDATA, for the types whose
// names may be compressed (RFC 3597 section 4), and for SRV and DNAME, whose names
// must be understood compressed all the same.
var leading = map[uint16]int{
	dns.TypeNS: 0, dns.TypeCNAME: 0, dns.TypePTR: 0, dns.TypeDNAME: 0, dns.TypeMX: 2, dns.TypeSRV: 6, dns.TypeSOA: 0,
}

// expand writes the names in RDATA out.
func expand(packet []byte, r record) ([]byte, error) {
	before, known := leading[r.rtype]
	if !known || len(r.data) <= before {
		return r.data, nil
	}
	full := append([]byte(nil), r.data[:before]...)
	names, at, end := 1, r.at+before, r.at+len(r.data)
	if r.rtype == dns.TypeSOA {
		names = 2
	}
	for range names {
		n, next, err := readName(packet, at)
		if err != nil {
			return nil, fmt.Errorf("name in RDATA: %w", err)
		}
		full, at = append(full, n...), next
	}
	if at > end {
		return nil, errors.New("a name in RDATA leads out of it")
	}
	return append(full, packet[at:end]...), nil
}

// readName reads a name and returns where it ends. Every pointer must lead back.
func readName(packet []byte, at int) (n name, end int, err error) {
	var wire strings.Builder
	before := at
	for at < len(packet) {
		length := int(packet[at])
		switch {
		case length == 0:
			wire.WriteByte(0)
			if wire.Len() > maxName {
				return "", 0, errors.New("a name is longer than 255 bytes")
			}
			return name(wire.String()), max(end, at+1), nil
		case length >= 0xc0 && at+1 < len(packet):
			end = max(end, at+2)
			target := (length&0x3f)<<8 | int(packet[at+1])
			if target >= before {
				return "", 0, fmt.Errorf("the pointer at byte %d does not lead back", at)
			}
			at, before = target, target
		case length > 63:
			return "", 0, fmt.Errorf("unknown kind of label at byte %d", at)
		case at+1+length > len(packet):
			return "", 0, errShort
		default:
			wire.Write(packet[at : at+1+length])
			at += 1 + length
		}
	}
	return "", 0, errShort
}
