package upstream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

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
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagZ  = 1 << 6
	flagAD = 1 << 5
	flagCD = 1 << 4

	opcodeShift = 11
	opcodeMask  = 0xf
	rcodeMask   = 0xf
)

// flagDO stands in the OPT record's TTL (RFC 6891 section 6.1.3).
const flagDO = 1 << 15

// query is a Question in wire form. It is not modified once it is sent, so that any
// number of sockets can send it; each puts its own id into a copy.
type query struct {
	asked    Question
	wire     []byte // the whole message, its id zero
	question []byte // the question section, part of wire
	probe    bool   // nobody's question
	again    bool   // the server is silent to the same, which is still pending
	// lost is closed when the reply is of no use any more; nil where that is told by the
	// context alone.
	lost chan struct{}
	room [96]byte // for wire, if it is enough
}

// newQuery composes q with RD set and EDNS, and no EDNS option: a client's are its own
// business with us, and those that a transport adds are ours with the server. The error wraps
// ErrQuestion.
func newQuery(asked Question) (*query, error) {
	q := new(query)
	if err := q.compose(asked); err != nil {
		return nil, err
	}
	return q, nil
}

// compose makes q the query for a question, whatever it was before.
func (q *query) compose(asked Question) error {
	// No name is longer in wire form than in presentation form, but for the root's label.
	name := min(len(asked.Name)+1, maxNameSize)
	wire := q.room[:]
	if need := headerSize + name + typeAndClass + optSize; need > len(wire) {
		wire = make([]byte, need)
	}
	clear(wire)
	// An empty name packs to nothing, without an error.
	if asked.Name == "" {
		return fmt.Errorf("%w: the name is empty", ErrQuestion)
	}
	end, err := dns.PackDomainName(asked.Name, wire[:headerSize+name], headerSize, nil, false)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrQuestion, asked.Name, err)
	}
	binary.BigEndian.PutUint16(wire[end:], asked.Type)
	binary.BigEndian.PutUint16(wire[end+2:], asked.Class)
	end += typeAndClass

	// Who is told of AD is decided for each client, also when the answer is kept, so it
	// is always wanted (RFC 6840 section 5.7).
	flags := uint16(flagRD | flagAD)
	if asked.CD {
		flags |= flagCD
	}
	binary.BigEndian.PutUint16(wire[2:], flags)
	binary.BigEndian.PutUint16(wire[4:], 1)  // QDCOUNT
	binary.BigEndian.PutUint16(wire[10:], 1) // ARCOUNT: the OPT record

	binary.BigEndian.PutUint16(wire[end+1:], dns.TypeOPT)
	binary.BigEndian.PutUint16(wire[end+3:], ednsSize)
	if asked.DO {
		binary.BigEndian.PutUint32(wire[end+5:], flagDO)
	}
	q.asked, q.wire, q.question = asked, wire[:end+optSize], wire[headerSize:end]
	return nil
}

// plain returns the same query without EDNS, for servers that do not know it
// (RFC 6891 section 7). DO is lost with it.
func (q *query) plain() *query {
	end := headerSize + len(q.question)
	wire := bytes.Clone(q.wire[:end])
	binary.BigEndian.PutUint16(wire[10:], 0)
	return &query{asked: q.asked, wire: wire, question: wire[headerSize:], probe: q.probe, again: q.again, lost: q.lost}
}

// repeated returns the same query for a server that is silent to it.
func (q *query) repeated() *query {
	return &query{asked: q.asked, wire: q.wire, question: q.question, again: true, lost: q.lost}
}

// edns reports whether the query has an OPT record.
func (q *query) edns() bool { return len(q.wire) > headerSize+len(q.question) }

// withID returns a copy of the message under an id, behind prefix bytes, with an EDNS
// option more unless that is nil. The query must have EDNS then. The copy is made in
// room if that is large enough.
func (q *query) withID(room []byte, id uint16, prefix int, option []byte) []byte {
	wire := slices.Grow(room[:0], prefix+len(q.wire)+len(option))[:prefix+len(q.wire)+len(option)]
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
