package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Why a message is not a question that can be answered in place. What to say is
// given with each; AppendRcode says it.
var (
	// ErrMalformed: the message cannot be read behind its header. FORMERR.
	ErrMalformed = errors.New("malformed message")
	// ErrShort: there is not even a header. Such a message is dropped.
	ErrShort = errors.New("message shorter than a header")
	// ErrReply: it is a reply, and is dropped: answering it could start a loop
	// between two servers.
	ErrReply = errors.New("message is a reply")
	// ErrOpcode: the operation is not QUERY. NOTIMP.
	ErrOpcode = errors.New("operation is not a query")
	// ErrQuestions: there is not exactly one question (RFC 9619). FORMERR.
	ErrQuestions = errors.New("not exactly one question")
	// ErrOptions: there is more than one OPT record (RFC 6891 section 6.1.1). FORMERR.
	ErrOptions = errors.New("more than one OPT record")
	// ErrVersion: the EDNS version is not 0 (RFC 6891 section 6.1.3). BADVERS.
	ErrVersion = errors.New("EDNS version is not 0")
	// ErrUnusual: the question is fine, but the message holds more than a question
	// and an OPT record, a signature for example. The query is read whole. It is not to
	// be answered in place.
	ErrUnusual = errors.New("message holds more than a question")
)

// Query is one client's question and all that the reply to it depends on. It is a
// value that shares nothing with the packet it was read from; it holds some 600
// bytes and is best handed on by pointer.
type Query struct {
	// Question is what is asked; its name is empty where it could not be read.
	Question Question
	// ID is the message's id, to be copied into the reply.
	ID uint16
	// Opcode is 0, QUERY, unless reading said ErrOpcode.
	Opcode uint8
	// RD, CD and AD are the header's flags.
	RD, CD, AD bool
	// EDNS reports whether there was an OPT record; DO is the flag in it.
	EDNS, DO bool
	// KeepAlive reports whether the client offered edns-tcp-keepalive (RFC 7828).
	KeepAlive bool
	// ClientSubnet is who asked the client, as that says (RFC 7871); the zero value
	// where it says nothing that can be read. It is never passed on.
	ClientSubnet netip.Prefix
	// Size is the longest reply the client takes, in bytes: MinimumSize over UDP
	// without EDNS, what the client says over UDP with it, but no less than
	// MinimumSize and no more than AdvertisedSize, and MaximumSize over TCP.
	Size int

	// spelling is as long as the question's name.
	spelling     [maxNameSize]byte
	cookie       [maxCookieSize]byte
	cookieLength uint8
	// local are the client's local options, each with its code and length in front.
	local       [localOptionsRoom]byte
	localLength uint8
}

// localOptionsRoom is what is kept of local options: names of machines and hardware
// addresses are shorter.
const localOptionsRoom = 80

// LocalOption returns the data of the first option with a code of those that are for
// local use, 65001 to 65534 (RFC 6891 section 9); nil where there was none, or none that
// had room: 76 bytes for one. It is part of q. It is never passed on.
func (q *Query) LocalOption(code uint16) []byte {
	for kept := q.local[:q.localLength]; len(kept) > 0; {
		length := optionFixed + int(binary.BigEndian.Uint16(kept[2:]))
		if binary.BigEndian.Uint16(kept) == code {
			return kept[optionFixed:length]
		}
		kept = kept[length:]
	}
	return nil
}

// maxCookieSize is 8 bytes of the client and 32 of the server (RFC 7873 section 4).
const maxCookieSize = 40

// Spelling returns the name in wire form as the client wrote it. It is part of q.
func (q *Query) Spelling() []byte { return q.spelling[:q.Question.length] }

// Cookie returns the client's COOKIE option (RFC 7873): 8 bytes of the client's,
// then none or 8 to 32 of ours. It is part of q, and empty where there was none.
func (q *Query) Cookie() []byte { return q.cookie[:q.cookieLength] }

// ReadQuery reads a message that came from a client over UDP or, where overTCP is
// true, over a stream. It overwrites q and keeps nothing of the packet. The work
// is bounded by the packet's length, and nothing is allocated.
//
// The error is one of the sentinels of this package. q then holds what was read
// up to there: the header always, but for ErrShort, and the question where it
// could be read, so that a reply can be composed.
func ReadQuery(packet []byte, overTCP bool, q *Query) error {
	*q = Query{Size: sizeWithoutEDNS(overTCP)}
	if len(packet) < headerSize {
		return ErrShort
	}
	flags := binary.BigEndian.Uint16(packet[2:])
	q.ID = binary.BigEndian.Uint16(packet)
	q.RD, q.AD, q.CD = flags&flagRD != 0, flags&flagAD != 0, flags&flagCD != 0
	q.Opcode = uint8(flags >> opcodeShift & opcodeMask)
	switch {
	case flags&flagQR != 0:
		return ErrReply
	case q.Opcode != 0:
		q.readForeign(packet, overTCP)
		return ErrOpcode
	case binary.BigEndian.Uint16(packet[4:]) != 1:
		q.readWithoutQuestion(packet, overTCP)
		return ErrQuestions
	}
	end, err := q.readQuestion(packet)
	if err != nil {
		return err
	}
	err = q.readRecords(packet, end, overTCP)
	q.boundANY(overTCP)
	return err
}

// boundANY keeps answers to ANY over UDP short: they are of use to attackers mostly
// (RFC 8482), and who wants more than every client takes may come over TCP.
func (q *Query) boundANY(overTCP bool) {
	if q.Question.Type == typeANY && !overTCP {
		q.Size = MinimumSize
	}
}

// readWithoutQuestion reads the OPT record of a message with no question, or with
// several, none of which counts.
func (q *Query) readWithoutQuestion(packet []byte, overTCP bool) {
	at := headerSize
	for range binary.BigEndian.Uint16(packet[4:]) {
		if at = skipName(packet, at) + typeAndClass; at > len(packet) {
			return
		}
	}
	_ = q.readRecords(packet, at, overTCP)
}

// readForeign reads a message of another operation as if it were a query, as far as
// that goes: the reply to it owes a question and an OPT record, too (RFC 8906
// section 8.2.7).
func (q *Query) readForeign(packet []byte, overTCP bool) {
	if binary.BigEndian.Uint16(packet[4:]) != 1 {
		return
	}
	if end, err := q.readQuestion(packet); err == nil {
		_ = q.readRecords(packet, end, overTCP)
	}
}

func sizeWithoutEDNS(overTCP bool) int {
	if overTCP {
		return MaximumSize
	}
	return MinimumSize
}

// sizeWithEDNS bounds what the client offers from below by RFC 6891 section
// 6.2.3 and from above by what passes every path whole.
func sizeWithEDNS(offered uint16, overTCP bool) int {
	if overTCP {
		return MaximumSize
	}
	return min(max(int(offered), MinimumSize), AdvertisedSize)
}

// readQuestion reads the question section of one question and returns its end. The
// first name of a message has nothing to point to, so a pointer in it is an error.
func (q *Query) readQuestion(packet []byte) (end int, err error) {
	at := headerSize
	for {
		if at >= len(packet) {
			return 0, ErrMalformed
		}
		label := int(packet[at])
		if label == 0 {
			break
		}
		at += 1 + label
		if label > maxLabelSize || at-headerSize >= maxNameSize {
			return 0, ErrMalformed
		}
	}
	at++
	if at+typeAndClass > len(packet) {
		return 0, ErrMalformed
	}
	length := copy(q.spelling[:], packet[headerSize:at])
	for i, c := range q.spelling[:length] {
		q.Question.name[i] = lower(c)
	}
	q.Question.length = uint8(length)
	q.Question.Type = binary.BigEndian.Uint16(packet[at:])
	q.Question.Class = binary.BigEndian.Uint16(packet[at+2:])
	return at + typeAndClass, nil
}

// readRecords reads what follows the question: an OPT record is usual.
func (q *Query) readRecords(packet []byte, at int, overTCP bool) error {
	answers := int(binary.BigEndian.Uint16(packet[6:])) + int(binary.BigEndian.Uint16(packet[8:]))
	additional := int(binary.BigEndian.Uint16(packet[10:]))
	unusual := answers > 0
	var failure error
	for i := range answers + additional {
		r, ok := recordAt(packet, at)
		if !ok {
			return ErrMalformed
		}
		at = r.end
		if r.rtype != typeOPT {
			unusual = true
			continue
		}
		if err := q.readOPT(packet, r, i >= answers, overTCP); failure == nil {
			failure = err
		}
	}
	if failure != nil {
		return failure
	}
	switch {
	case at != len(packet):
		return ErrMalformed
	case unusual:
		return ErrUnusual
	}
	return nil
}
