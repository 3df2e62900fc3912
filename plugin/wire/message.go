package wire

import (
	"encoding/binary"
)

// The types of records that are told from others here.
const (
	typeCNAME = 5
	typeSOA   = 6
	typeA     = 1
	typeAAAA  = 28

	typeOPT   = 41
	typeSVCB  = 64
	typeHTTPS = 65
	typeANY   = 255
)

// record is where a resource record of a message lies.
type record struct {
	// start is the owner's first byte, fixed the type's, end the byte behind RDATA.
	start, fixed, end int
	rtype             uint16
}

// data returns where RDATA begins.
func (r record) data() int { return r.fixed + recordFixed }

func (r record) ttl(message []byte) uint32 { return binary.BigEndian.Uint32(message[r.fixed+4:]) }

// recordAt finds the record that begins at an offset, false where it is cut off
// or its owner has a label of an unknown kind.
func recordAt(message []byte, at int) (record, bool) {
	fixed := skipName(message, at)
	data := fixed + recordFixed
	if data > len(message) {
		return record{}, false
	}
	end := data + int(binary.BigEndian.Uint16(message[data-2:]))
	if end > len(message) {
		return record{}, false
	}
	return record{start: at, fixed: fixed, end: end, rtype: binary.BigEndian.Uint16(message[fixed:])}, true
}

// skipName returns where the name at an offset ends, and more than len(message)
// where it is cut off or has a label of an unknown kind.
func skipName(message []byte, at int) int {
	for at < len(message) {
		length := int(message[at])
		switch {
		case length == 0:
			return at + 1
		case length >= 0xc0: // a pointer ends the name (RFC 1035 section 4.1.4)
			return at + 2
		case length > maxLabelSize:
			return len(message) + 1
		}
		at += 1 + length
	}
	return len(message) + 1
}

// expandName writes the name at an offset without compression and returns its
// length, 0 where it is none. Every pointer must lead back, so the work is bounded
// by the message's length.
func expandName(message []byte, at int, to *[maxNameSize]byte) int {
	length, before := 0, at
	for at < len(message) {
		label := int(message[at])
		switch {
		case label == 0:
			if length == maxNameSize {
				return 0
			}
			to[length] = 0
			return length + 1
		case label >= 0xc0:
			target, whole := pointedTo(message, at)
			if !whole || target >= before {
				return 0
			}
			at, before = target, target
			continue
		case label > maxLabelSize || at+1+label > len(message) || length+1+label > maxNameSize:
			return 0
		}
		length += copy(to[length:], message[at:at+1+label])
		at += 1 + label
	}
	return 0
}

// pointedTo returns where a compression pointer leads, and false where it is cut off.
func pointedTo(message []byte, at int) (target int, whole bool) {
	if at+1 >= len(message) {
		return 0, false
	}
	return int(message[at]&^0xc0)<<8 | int(message[at+1]), true
}

// equalInLowerCase reports whether octets are, in lower case, the first of others, which
// are no fewer.
func equalInLowerCase(octets, first []byte) bool {
	for i, c := range octets {
		if lower(c) != first[i] {
			return false
		}
	}
	return true
}

// isName reports whether the name at an offset is one in lower case, written out.
func isName(message []byte, at int, name []byte) bool {
	before := at
	for at < len(message) {
		label := int(message[at])
		switch {
		case label >= 0xc0:
			target, whole := pointedTo(message, at)
			if !whole || target >= before {
				return false
			}
			at, before = target, target
			continue
		case label > maxLabelSize || at+1+label > len(message) || 1+label > len(name):
			return false
		}
		if !equalInLowerCase(message[at:at+1+label], name) {
			return false
		}
		at, name = at+1+label, name[1+label:]
		if label == 0 {
			return len(name) == 0
		}
	}
	return false
}

// storedQuestion returns where the question section of a stored message ends, 0
// where there is not exactly one question whose name is written out.
func storedQuestion(stored []byte) int {
	if len(stored) < headerSize || binary.BigEndian.Uint16(stored[4:]) != 1 {
		return 0
	}
	at := headerSize
	for at < len(stored) && stored[at] != 0 {
		if stored[at] > maxLabelSize {
			return 0
		}
		at += 1 + int(stored[at])
	}
	at += 1 + typeAndClass
	if at > len(stored) || at-headerSize-typeAndClass > maxNameSize {
		return 0
	}
	return at
}

// Whole reports whether a message can be stored and composed into replies: one
// question with its name written out, exactly the records that the header
// promises, no OPT among them, and nothing behind.
func Whole(message []byte) bool {
	at := storedQuestion(message)
	if at == 0 || len(message) > MaximumSize {
		return false
	}
	for range recordCount(message) {
		r, ok := recordAt(message, at)
		if !ok || r.rtype == typeOPT {
			return false
		}
		at = r.end
	}
	return at == len(message)
}

// recordCount is how many records a message's header promises.
func recordCount(message []byte) int {
	count := 0
	for at := 6; at < headerSize; at += 2 {
		count += int(binary.BigEndian.Uint16(message[at:]))
	}
	return count
}

// StoredQuestion returns the question of a stored message, the zero value where
// there is not exactly one with its name written out.
func StoredQuestion(message []byte) Question {
	end := storedQuestion(message)
	if end == 0 {
		return Question{}
	}
	name := message[headerSize : end-typeAndClass]
	question := Question{
		length: uint8(len(name)),
		Type:   binary.BigEndian.Uint16(message[end-typeAndClass:]),
		Class:  binary.BigEndian.Uint16(message[end-2:]),
	}
	copy(question.name[:], name)
	lowerName(question.name[:len(name)])
	return question
}
