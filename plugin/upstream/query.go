package upstream

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/miekg/dns"
)

// Sizes of the parts of a query (RFC 1035 section 4.1, RFC 6891 section 6.1.2).
const (
	headerSize   = 12
	maxNameSize  = 255
	typeAndClass = 4
	optSize      = 11
)

// ednsSize is the UDP payload size we offer: what fits into IPv6's least MTU with
// its headers, so that no reply is fragmented on any path. A fragment's tail can
// be forged without knowing id or port.
const ednsSize = 1232

// Bits of the header's flags (RFC 1035 section 4.1.1, RFC 4035 section 3).
const (
	flagQR = 1 << 15
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagAD = 1 << 5
	flagCD = 1 << 4

	opcodeShift = 11
	opcodeMask  = 0xf
	rcodeMask   = 0xf
)

// flagDO stands in the OPT record's TTL (RFC 6891 section 6.1.3).
const flagDO = 1 << 15

// query is a Question in wire form. It is never modified, so that any number of
// sockets can send it; each puts its own id into a copy.
type query struct {
	asked    Question
	wire     []byte // the whole message, its id zero
	question []byte // the question section, part of wire
	probe    bool   // nobody's question
	again    bool   // the server is silent to the same, which is still pending
}

// newQuery composes q with RD set and EDNS, and no EDNS option: a client's are its own
// business with us, and those that a transport adds are ours with the server. The error wraps
// ErrQuestion.
func newQuery(q Question) (query, error) {
	wire := make([]byte, headerSize+maxNameSize+typeAndClass+optSize)
	// An empty name packs to nothing, without an error.
	if q.Name == "" {
		return query{}, fmt.Errorf("%w: the name is empty", ErrQuestion)
	}
	end, err := dns.PackDomainName(q.Name, wire[:headerSize+maxNameSize], headerSize, nil, false)
	if err != nil {
		return query{}, fmt.Errorf("%w: %q: %w", ErrQuestion, q.Name, err)
	}
	binary.BigEndian.PutUint16(wire[end:], q.Type)
	binary.BigEndian.PutUint16(wire[end+2:], q.Class)
	end += typeAndClass

	flags := uint16(flagRD)
	if q.AD || q.DO {
		flags |= flagAD
	}
	if q.CD {
		flags |= flagCD
	}
	binary.BigEndian.PutUint16(wire[2:], flags)
	binary.BigEndian.PutUint16(wire[4:], 1)  // QDCOUNT
	binary.BigEndian.PutUint16(wire[10:], 1) // ARCOUNT: the OPT record

	binary.BigEndian.PutUint16(wire[end+1:], dns.TypeOPT)
	binary.BigEndian.PutUint16(wire[end+3:], ednsSize)
	if q.DO {
		binary.BigEndian.PutUint32(wire[end+5:], flagDO)
	}
	return query{asked: q, wire: wire[:end+optSize], question: wire[headerSize:end]}, nil
}

// plain returns the same query without EDNS, for servers that do not know it
// (RFC 6891 section 7). DO is lost with it.
func (q query) plain() query {
	end := headerSize + len(q.question)
	wire := bytes.Clone(q.wire[:end])
	binary.BigEndian.PutUint16(wire[10:], 0)
	q.wire, q.question = wire, wire[headerSize:]
	return q
}

// edns reports whether the query has an OPT record.
func (q query) edns() bool { return len(q.wire) > headerSize+len(q.question) }

// withID returns a copy of the message under an id, behind prefix zero bytes, with an
// EDNS option more unless that is nil. The query must have EDNS then.
func (q query) withID(id uint16, prefix int, option []byte) []byte {
	wire := make([]byte, prefix+len(q.wire)+len(option))
	copy(wire[prefix:], q.wire)
	binary.BigEndian.PutUint16(wire[prefix:], id)
	if option != nil {
		// The OPT record is the last, and nothing is behind its length yet.
		end := prefix + len(q.wire)
		binary.BigEndian.PutUint16(wire[end-2:], uint16(len(option)))
		copy(wire[end:], option)
	}
	return wire
}
