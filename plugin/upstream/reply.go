package upstream

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// messageID returns the id of a message, false where there is no whole header.
func messageID(wire []byte) (uint16, bool) {
	if len(wire) < headerSize {
		return 0, false
	}
	return binary.BigEndian.Uint16(wire), true
}

// accepts reports whether a message is the reply to a query with this question
// section; that its id is the query's and that it came from the server is for the
// caller to know. What is not accepted may be anybody's and is passed over while
// the wait goes on (RFC 5452 section 9.1), so whether the rest of an accepted
// message can be read is not asked here.
//
// A reply holds the question that was asked, its letters in any case. There are
// servers that leave the question out when they could not read it or will not
// answer it, so a FORMERR, SERVFAIL, NOTIMP or REFUSED without a question and
// without records is accepted too. RFC 5452 wants the question in every reply so
// that no forged data gets in; such a reply has no data, and forged it can only
// move us on to another server.
func accepts(wire, question []byte) bool {
	if len(wire) < headerSize {
		return false
	}
	flags := binary.BigEndian.Uint16(wire[2:])
	if flags&flagQR == 0 || flags>>opcodeShift&opcodeMask != dns.OpcodeQuery {
		return false
	}
	switch binary.BigEndian.Uint16(wire[4:]) {
	case 0:
		noRecords := binary.BigEndian.Uint32(wire[6:]) == 0 // ANCOUNT and NSCOUNT
		return noRecords && bareFailure(int(flags&rcodeMask))
	case 1:
		return startsWithFold(wire[headerSize:], question)
	default:
		return false
	}
}

// bareFailure reports whether a server may say this without saying to what.
func bareFailure(rcode int) bool {
	switch rcode {
	case dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
		return true
	default:
		return false
	}
}

// startsWithFold reports whether wire starts with the question, whose name may
// differ in the case of ASCII letters (RFC 4343). Label lengths are below 64 and
// the name's end is 0, so folding letters leaves them alone; a compressed name
// starts with a byte of 192 or more and never matches. Type and class, which
// could look like letters, are compared as they are.
func startsWithFold(wire, question []byte) bool {
	if len(wire) < len(question) {
		return false
	}
	name := len(question) - typeAndClass
	return equalFold(wire[:name], question[:name]) && string(wire[name:len(question)]) == string(question[name:])
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// hasQuestion reports whether an accepted message has a question section.
func hasQuestion(wire []byte) bool { return binary.BigEndian.Uint16(wire[4:]) == 1 }

// truncated reports whether a message with a whole header has TC set.
func truncated(wire []byte) bool {
	return binary.BigEndian.Uint16(wire[2:])&flagTC != 0
}

// whole reports whether a message holds exactly the records that its header
// promises: none cut off, nothing behind. dns.Msg.Unpack takes both silently, and
// Azure has been seen to cut replies to 512 bytes without TC.
func whole(wire []byte) bool {
	if len(wire) < headerSize {
		return false
	}
	at := headerSize
	for range binary.BigEndian.Uint16(wire[4:]) {
		if at = skipName(wire, at) + typeAndClass; at > len(wire) {
			return false
		}
	}
	records := 0
	for count := 6; count < headerSize; count += 2 {
		records += int(binary.BigEndian.Uint16(wire[count:]))
	}
	for range records {
		if at = skipRecord(wire, at); at > len(wire) {
			return false
		}
	}
	return at == len(wire)
}

// skipRecord returns where the record at an offset ends, and more than len(wire)
// where it is cut off.
func skipRecord(wire []byte, at int) int {
	const fixed = 10 // type, class, TTL, RDLENGTH
	at = skipName(wire, at) + fixed
	if at > len(wire) {
		return at
	}
	return at + int(binary.BigEndian.Uint16(wire[at-2:]))
}

// skipName returns where the name at an offset ends, and more than len(wire) where
// it is cut off or has a label of an unknown kind.
func skipName(wire []byte, at int) int {
	for at < len(wire) {
		length := int(wire[at])
		switch {
		case length == 0:
			return at + 1
		case length >= 0xc0: // a pointer ends the name (RFC 1035 section 4.1.4)
			return at + 2
		case length > 63:
			return len(wire) + 1
		}
		at += 1 + length
	}
	return len(wire) + 1
}
