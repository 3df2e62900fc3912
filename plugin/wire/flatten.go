package wire

import (
	"bytes"
	"encoding/binary"
)

// pointer marks a compressed name (RFC 1035 section 4.1.4).
const pointer = 0xc000

// appendFlattened appends the records of a stored answer without its CNAMEs. It
// says flat false, and appends nothing, where there is nothing to flatten, and
// whole false where the stored message is not whole.
func (c *composition) appendFlattened(buffer, stored []byte, end int) (longer []byte, flat, whole bool) {
	answers, authorities, least, ok := surveyChain(stored, end)
	if !ok {
		return buffer, false, false
	}
	if !c.flattens(answers) {
		return buffer, false, true
	}
	at, ttl := end, c.presentation.ttl(least)
	for range answers.all {
		r, _ := recordAt(stored, at)
		at = r.end
		if r.rtype == c.query.Question.Type {
			buffer = appendWithOwner(buffer, stored, r, headerSize, ttl)
		}
		if len(buffer)-c.start > c.limit {
			return c.truncate(buffer), true, true
		}
	}
	binary.BigEndian.PutUint16(buffer[c.start+6:], uint16(answers.ofType))
	if answers.ofType > 0 {
		return buffer, true, true
	}
	for range authorities {
		r, _ := recordAt(stored, at)
		at = r.end
		if r.rtype != typeSOA {
			continue
		}
		if buffer, ok = c.appendSOA(buffer, stored, r, ttl); ok {
			binary.BigEndian.PutUint16(buffer[c.start+8:], 1)
		}
		break
	}
	return buffer, true, true
}

// survey counts the records of an answer section.
type survey struct{ all, cnames, ofType int }

// surveyChain looks through a stored message: its answer section, how many records
// its authority section has, and the least TTL of both.
func surveyChain(stored []byte, end int) (answers survey, authorities int, least uint32, ok bool) {
	if !Whole(stored) {
		return survey{}, 0, 0, false
	}
	qtype := binary.BigEndian.Uint16(stored[end-typeAndClass:])
	answers.all = int(binary.BigEndian.Uint16(stored[6:]))
	authorities = int(binary.BigEndian.Uint16(stored[8:]))
	least = ^uint32(0)
	at := end
	for i := range answers.all + authorities {
		r, _ := recordAt(stored, at)
		at = r.end
		least = min(least, r.ttl(stored))
		switch {
		case i >= answers.all:
		case r.rtype == typeCNAME:
			answers.cnames++
		case r.rtype == qtype:
			answers.ofType++
		}
	}
	return answers, authorities, least, true
}

// flattens reports whether an answer can be told without its CNAMEs: the records
// that stay must hold no compressed name, which would point to what is left out.
// Who asks for the CNAME itself gets it.
func (c *composition) flattens(answers survey) bool {
	qtype := c.query.Question.Type
	if answers.cnames == 0 || qtype == typeCNAME || qtype == typeANY {
		return false
	}
	switch qtype {
	case typeA, typeAAAA, typeHTTPS, typeSVCB:
		return true
	}
	return answers.ofType == 0
}

// appendWithOwner appends a stored record under another owner, given as the offset
// of a name in the reply.
func appendWithOwner(buffer, stored []byte, r record, owner int, ttl uint32) []byte {
	buffer = binary.BigEndian.AppendUint16(buffer, uint16(pointer|owner))
	buffer = append(buffer, stored[r.fixed:r.fixed+4]...)
	buffer = binary.BigEndian.AppendUint32(buffer, ttl)
	return append(buffer, stored[r.data()-2:r.end]...)
}

// appendSOA appends the SOA record of a negative answer, its names written out. It
// says false, and appends nothing, where the names cannot be read.
//
// The owner must be the question's name or one above it, or a resolver would not
// believe it (RFC 2308 section 3). The zone at the end of a chain seldom is, and
// its name is what flattening keeps back: the name above the question's is told
// instead.
func (c *composition) appendSOA(buffer, stored []byte, r record, ttl uint32) ([]byte, bool) {
	const numbers = 20 // SERIAL, REFRESH, RETRY, EXPIRE and MINIMUM
	var owner, primary, mailbox [maxNameSize]byte
	primaryEnd := skipName(stored, r.data())
	mailboxEnd := skipName(stored, primaryEnd)
	if mailboxEnd+numbers != r.end {
		return buffer, false
	}
	ownerSize := expandName(stored, r.start, &owner)
	primarySize := expandName(stored, r.data(), &primary)
	mailboxSize := expandName(stored, primaryEnd, &mailbox)
	if ownerSize == 0 || primarySize == 0 || mailboxSize == 0 {
		return buffer, false
	}
	buffer = binary.BigEndian.AppendUint16(buffer, uint16(pointer|c.ownerOfSOA(owner[:ownerSize])))
	buffer = append(buffer, stored[r.fixed:r.fixed+4]...)
	buffer = binary.BigEndian.AppendUint32(buffer, ttl)
	buffer = binary.BigEndian.AppendUint16(buffer, uint16(primarySize+mailboxSize+numbers))
	buffer = append(buffer, primary[:primarySize]...)
	buffer = append(buffer, mailbox[:mailboxSize]...)
	return append(buffer, stored[mailboxEnd:r.end]...), true
}

// ownerOfSOA returns where the name stands in the reply under which an SOA record
// is told.
func (c *composition) ownerOfSOA(owner []byte) int {
	lowerName(owner)
	name := c.query.Question.Name()
	for at := 0; ; at += 1 + int(name[at]) {
		if bytes.Equal(name[at:], owner) {
			return headerSize + at
		}
		if name[at] == 0 {
			break
		}
	}
	if name[0] == 0 {
		return headerSize
	}
	return headerSize + 1 + int(name[0])
}
