package upstream

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/miekg/dns"
)

// message is what a reply is read into: one piece of memory with room for what nearly
// every reply has.
type message struct {
	msg      dns.Msg
	question [1]dns.Question
	answer   [2]dns.RR
	opt      dns.OPT
}

// unpack reads an accepted reply to a query, after restoring the question's spelling in
// it. The message keeps the server's id, and its question is the query's, whatever the
// reply has; opt is the OPT record, nil if there was none. It is removed after its part
// of the rcode has been added. The error is ErrTruncated or wraps ErrMalformed.
//
// The result is what dns.Msg.Unpack makes of the same bytes, for less: it
// reads chains of names and addresses itself and leaves all other records to miekg/dns.
func unpack(wire []byte, q *query) (msg *dns.Msg, opt *dns.OPT, err error) {
	if truncated(wire) {
		return nil, nil, ErrTruncated
	}
	if !whole(wire) {
		return nil, nil, ErrMalformed
	}
	m := new(message)
	msg = &m.msg
	m.question[0] = dns.Question{Name: q.asked.Name, Qtype: q.asked.Type, Qclass: q.asked.Class}
	msg.Question = m.question[:]
	setHeader(&msg.MsgHdr, wire)
	r := reader{wire: wire, at: headerSize}
	if hasQuestion(wire) {
		restore(wire, q.question)
		if plain(q.asked.Name) {
			r.know(headerSize, q.asked.Name)
		}
		r.at += len(q.question)
	}
	if err := r.sections(m); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if r.opt != nil {
		msg.Rcode |= r.opt.ExtendedRcode()
	}
	return msg, r.opt, nil
}

// setHeader reads the header of a message (RFC 1035 section 4.1.1, RFC 4035 section 3).
func setHeader(h *dns.MsgHdr, wire []byte) {
	flags := binary.BigEndian.Uint16(wire[2:])
	has := func(flag uint16) bool { return flags&flag != 0 }
	*h = dns.MsgHdr{
		Id: binary.BigEndian.Uint16(wire), Opcode: int(flags >> opcodeShift & opcodeMask), Rcode: int(flags & rcodeMask),
		Response: has(flagQR), Authoritative: has(flagAA), Truncated: has(flagTC), RecursionDesired: has(flagRD),
		RecursionAvailable: has(flagRA), Zero: has(flagZ), AuthenticatedData: has(flagAD), CheckingDisabled: has(flagCD),
	}
}

// reader reads the records of a whole message.
type reader struct {
	wire []byte
	at   int      // where the next record is
	opt  *dns.OPT // once it is found

	// names are those that records have been seen to point to.
	names [4]struct {
		at   int
		name string
	}
	known int
}

// know remembers the name at an offset.
func (r *reader) know(at int, name string) {
	if r.known < len(r.names) {
		r.names[r.known].at, r.names[r.known].name = at, name
		r.known++
	}
}

// sections reads all records.
func (r *reader) sections(m *message) (err error) {
	count := func(at int) int { return int(binary.BigEndian.Uint16(r.wire[at:])) }
	if m.msg.Answer, err = r.section(m.answer[:0], count(6), nil); err != nil {
		return err
	}
	if m.msg.Ns, err = r.section(nil, count(8), nil); err != nil {
		return err
	}
	m.msg.Extra, err = r.section(nil, count(10), &m.opt)
	return err
}

// section appends the records of a section to an empty list, but for the OPT record,
// of which there is one at most and in the additional section only (RFC 6891 section
// 6.1.1): room is for it, and nil elsewhere.
func (r *reader) section(list []dns.RR, records int, room *dns.OPT) ([]dns.RR, error) {
	for range records {
		record, err := r.record(room)
		if err != nil {
			return nil, err
		}
		opt, ok := record.(*dns.OPT)
		switch {
		case !ok:
			list = append(list, record)
		case room == nil:
			return nil, errOPTOutside
		case r.opt != nil:
			return nil, errTwoOPT
		default:
			r.opt = opt
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[:len(list):len(list)], nil
}

// record reads the next record. An OPT record without options goes to room, unless that
// is nil.
func (r *reader) record(room *dns.OPT) (dns.RR, error) {
	name, end, ok := r.name(r.at)
	if !ok {
		return r.other()
	}
	fixed, data := r.wire[end:], end+10
	header := dns.RR_Header{
		Name: name, Rrtype: binary.BigEndian.Uint16(fixed), Class: binary.BigEndian.Uint16(fixed[2:]),
		Ttl: binary.BigEndian.Uint32(fixed[4:]), Rdlength: binary.BigEndian.Uint16(fixed[8:]),
	}
	record := r.simple(&header, data)
	if header.Rrtype == dns.TypeOPT && header.Rdlength == 0 && room != nil && r.opt == nil {
		room.Hdr = header
		record = room
	}
	if record == nil {
		return r.other()
	}
	r.at = data + int(header.Rdlength)
	return record, nil
}

// simple returns an address or an alias, whose data is at an offset; nil for what is
// neither.
func (r *reader) simple(header *dns.RR_Header, data int) dns.RR {
	end := data + int(header.Rdlength)
	switch header.Rrtype {
	case dns.TypeA:
		if header.Rdlength == net.IPv4len {
			return newA(header, [net.IPv4len]byte(r.wire[data:]))
		}
	case dns.TypeAAAA:
		if header.Rdlength == net.IPv6len {
			return newAAAA(header, [net.IPv6len]byte(r.wire[data:]))
		}
	case dns.TypeCNAME:
		if target, after, ok := r.name(data); ok && after == end {
			return &dns.CNAME{Hdr: *header, Target: target}
		}
	}
	return nil
}

// newA makes a record and its address in one piece.
func newA(header *dns.RR_Header, address [net.IPv4len]byte) dns.RR {
	record := &struct {
		dns.A
		address [net.IPv4len]byte
	}{dns.A{Hdr: *header}, address}
	record.A.A = record.address[:]
	return &record.A
}

func newAAAA(header *dns.RR_Header, address [net.IPv6len]byte) dns.RR {
	record := &struct {
		dns.AAAA
		address [net.IPv6len]byte
	}{dns.AAAA{Hdr: *header}, address}
	record.AAAA.AAAA = record.address[:]
	return &record.AAAA
}

// other has miekg/dns read the next record.
func (r *reader) other() (record dns.RR, err error) {
	record, r.at, err = dns.UnpackRR(r.wire, r.at)
	return record, err
}

// name reads the name at an offset, and returns where it ends. ok is false for one that
// is left to miekg/dns: it has to be escaped, is too long, or is no name.
func (r *reader) name(at int) (name string, end int, ok bool) {
	end = skipName(r.wire, at)
	if at, ok = follow(r.wire, at); !ok {
		return "", 0, false
	}
	for _, known := range r.names[:r.known] {
		if known.at == at {
			return known.name, end, true
		}
	}
	var room [maxNameSize]byte
	spelled, ok := r.spell(room[:0], at)
	switch {
	case !ok:
		return "", 0, false
	case len(spelled) == 0:
		return ".", end, true
	}
	name = string(spelled)
	r.know(at, name)
	return name, end, true
}

// spell appends the name at an offset in presentation form.
func (r *reader) spell(spelled []byte, at int) (_ []byte, ok bool) {
	for length := int(r.wire[at]); length > 0; length = int(r.wire[at]) {
		label := at + 1
		if at = label + length; length > 63 || at > len(r.wire) || len(spelled)+length+1 >= maxNameSize {
			return nil, false
		}
		for _, c := range r.wire[label:at] {
			if !plainLetter(c) {
				return nil, false
			}
		}
		spelled = append(append(spelled, r.wire[label:at]...), '.')
		if at, ok = follow(r.wire, at); !ok {
			return nil, false
		}
	}
	return spelled, true
}

// plainLetter reports whether a letter stands for itself in presentation form. There
// are others that do.
func plainLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || 'A' <= c && c <= 'Z'
}

// plain reports whether all letters of a name in presentation form are plain.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '.' && !plainLetter(c) {
			return false
		}
	}
	return true
}
