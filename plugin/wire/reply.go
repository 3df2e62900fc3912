package wire

import (
	"encoding/binary"
	"time"
)

// rcodeServerFailure is SERVFAIL (RFC 1035 section 4.1.1).
const rcodeServerFailure = 2

// Presentation is how an answer is told to one client: what the reply depends on
// besides the query and the stored message. The zero value tells a fresh answer
// as it was stored, just now.
type Presentation struct {
	// Age is how long ago the message was stored; a negative age counts as 0.
	Age time.Duration
	// StaleTTL, in seconds, says that the answer is stale (RFC 8767): every TTL is
	// StaleTTL or the record's own, whichever is less, and Age is not looked at. 0
	// says that the answer is fresh.
	StaleTTL uint32
	// Flatten leaves the CNAMEs of a chain out: the records at its end, A, AAAA,
	// HTTPS or SVCB, are told as the question name's own, with the chain's least
	// TTL, and a negative answer keeps only its SOA. DNSSEC records and AD go with
	// the CNAMEs, as nothing of it could be validated. Other types, and answers
	// without a CNAME, are told as they were stored.
	Flatten bool
	// Error is told to a client that speaks EDNS.
	Error ExtendedError
	// Options are further EDNS options in wire form, a server cookie for example,
	// for a client that speaks EDNS. They are left out where they do not fit.
	Options []byte
}

// ExtendedError is an Extended DNS Error (RFC 8914). The zero value is none.
type ExtendedError struct {
	// Present tells code 0, "Other Error", from no error.
	Present bool
	// Code is the INFO-CODE.
	Code uint16
	// Text is the EXTRA-TEXT, UTF-8; more than 255 bytes are cut off.
	Text string
}

// AppendReply appends the reply to q to a buffer and returns the longer buffer.
// The stored message is in wire form, as Whole demands, its question section that
// of q with the name in lower case, and is not changed; where it is something
// else the reply is SERVFAIL.
//
// Of the stored message the records, the rcode and AD are used. The id, RD and CD
// are the query's, QR and RA are set, AA is not, and AD is set only where it is
// stored, the answer is neither stale nor flattened, and the client asks for it with
// AD or DO (RFC 6840 section 5.8). The question's name, and every owner that is a pointer to it, is in the client's
// spelling. TTLs are aged; a record stored with a TTL is never told with 0.
//
// The reply is never longer than q.Size, or MinimumSize if that is more. For it
// the extended error's text is left out first, then its code; a reply that still
// does not fit has TC set, its question and its OPT record, and no other record,
// for half an answer must not be used anyway (RFC 2181 section 9).
//
// Nothing is allocated where the buffer has room for q.Size bytes.
func AppendReply(buffer, stored []byte, q *Query, p Presentation) []byte {
	end := storedQuestion(stored)
	if end != headerSize+int(q.Question.length)+typeAndClass {
		return AppendRcode(buffer, q, rcodeServerFailure, p)
	}
	c := composition{start: len(buffer), limit: max(q.Size, MinimumSize), query: q, presentation: &p}
	flags := binary.BigEndian.Uint16(stored[2:])
	buffer = c.appendHead(buffer, flags&rcodeMask)
	whole, flat := true, false
	if p.Flatten {
		buffer, flat, whole = c.appendFlattened(buffer, stored, end)
	}
	if !flat && whole {
		buffer, whole = c.appendRecords(buffer, stored, end)
	}
	if !whole {
		return AppendRcode(buffer[:c.start], q, rcodeServerFailure, p)
	}
	if flags&flagAD != 0 && c.mayTellAD(flat) {
		c.setFlag(buffer, flagAD)
	}
	return c.finish(buffer, 0)
}

// AppendRcode appends a reply without records: a refusal, a failure, or the answer
// to a message that ReadQuery could not read; the question is left out where none
// was read. An rcode above 15 (RFC 6891 section 6.1.3) needs a client that speaks
// EDNS; others are told SERVFAIL. Of p only the error and the options are used.
func AppendRcode(buffer []byte, q *Query, rcode int, p Presentation) []byte {
	if rcode < 0 || rcode > 0xfff || rcode > rcodeMask && !q.EDNS {
		rcode = rcodeServerFailure
	}
	c := composition{start: len(buffer), limit: max(q.Size, MinimumSize), query: q, presentation: &p}
	buffer = c.appendHead(buffer, uint16(rcode&rcodeMask))
	return c.finish(buffer, uint8(rcode>>4))
}

// AppendTruncated appends a reply that says no more than that the client may come by TCP:
// no error, no record, and TC set (RFC 1035 section 4.1.1). Of p only the error and the
// options are used.
func AppendTruncated(buffer []byte, q *Query, p Presentation) []byte {
	c := composition{start: len(buffer), limit: max(q.Size, MinimumSize), query: q, presentation: &p}
	buffer = c.appendHead(buffer, 0)
	c.setFlag(buffer, flagTC)
	return c.finish(buffer, 0)
}

// composition is one reply in the making.
type composition struct {
	// start is where the reply begins in the buffer.
	start int
	// limit is the longest that the reply may be.
	limit        int
	query        *Query
	presentation *Presentation
}

// appendHead appends the header and the question section.
func (c *composition) appendHead(buffer []byte, rcode uint16) []byte {
	q := c.query
	flags := flagQR | flagRA | uint16(q.Opcode)<<opcodeShift | rcode
	if q.RD {
		flags |= flagRD
	}
	if q.CD {
		flags |= flagCD
	}
	questions := byte(0)
	if q.Question.length > 0 {
		questions = 1
	}
	buffer = append(buffer, byte(q.ID>>8), byte(q.ID), byte(flags>>8), byte(flags), 0, questions, 0, 0, 0, 0, 0, 0)
	if questions == 0 {
		return buffer
	}
	buffer = append(buffer, q.Spelling()...)
	buffer = binary.BigEndian.AppendUint16(buffer, q.Question.Type)
	return binary.BigEndian.AppendUint16(buffer, q.Question.Class)
}

// appendRecords appends the records as they were stored, and says false where the
// stored message is not whole.
func (c *composition) appendRecords(buffer, stored []byte, end int) ([]byte, bool) {
	if len(stored) > c.limit {
		return c.truncate(buffer), Whole(stored)
	}
	buffer = append(buffer, stored[end:]...)
	reply := buffer[c.start:]
	copy(reply[6:headerSize], stored[6:headerSize])
	at := end
	for range recordCount(reply) {
		r, ok := recordAt(reply, at)
		if !ok || r.rtype == typeOPT {
			return buffer, false
		}
		binary.BigEndian.PutUint32(reply[r.fixed+4:], c.presentation.ttl(r.ttl(reply)))
		at = r.end
	}
	return buffer, at == len(reply)
}

// ttl is what is told of a record's TTL.
func (p *Presentation) ttl(stored uint32) uint32 {
	if p.StaleTTL > 0 {
		return min(stored, p.StaleTTL)
	}
	age := int64(max(p.Age, 0) / time.Second)
	if age < int64(stored) {
		return stored - uint32(age)
	}
	return min(stored, 1)
}

// mayTellAD reports whether the client wants to know of AD, and the answer still is
// what was validated: signatures may have expired with a stale one.
func (c *composition) mayTellAD(flat bool) bool {
	return (c.query.AD || c.query.DO) && !flat && c.presentation.StaleTTL == 0
}

func (c *composition) setFlag(buffer []byte, flag uint16) {
	reply := buffer[c.start:]
	binary.BigEndian.PutUint16(reply[2:], binary.BigEndian.Uint16(reply[2:])|flag)
}

// truncate takes all records off and sets TC.
func (c *composition) truncate(buffer []byte) []byte {
	end := c.start + headerSize
	if length := int(c.query.Question.length); length > 0 {
		end += length + typeAndClass
	}
	buffer = buffer[:end]
	clear(buffer[c.start+6 : c.start+headerSize])
	c.setFlag(buffer, flagTC)
	return buffer
}

// finish appends the OPT record, and makes room for it where it must.
func (c *composition) finish(buffer []byte, extendedRcode uint8) []byte {
	if !c.query.EDNS {
		if len(buffer)-c.start > c.limit {
			return c.truncate(buffer)
		}
		return buffer
	}
	opt, fits := c.chooseOPT(c.limit - (len(buffer) - c.start))
	if !fits {
		// A header, a question and a bare OPT record fit always.
		buffer = c.truncate(buffer)
		opt, _ = c.chooseOPT(c.limit - (len(buffer) - c.start))
	}
	opt.extendedRcode = extendedRcode
	opt.dnssecOK = c.query.DO
	buffer = opt.appendTo(buffer)
	reply := buffer[c.start:]
	binary.BigEndian.PutUint16(reply[10:], binary.BigEndian.Uint16(reply[10:])+1)
	return buffer
}
