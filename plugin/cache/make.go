package cache

import (
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// ErrReply says that a reply cannot be made into an entry. It is wrapped.
var ErrReply = errors.New("reply cannot be kept or told")

// Lifetimes bound how long answers may be used; the caller chooses them by route
// and verdict. They count in whole seconds, and what is below one second is none.
type Lifetimes struct {
	// MaxTTL bounds the TTL of every record of a positive answer, and of a chain's
	// CNAMEs.
	MaxTTL time.Duration
	// MaxNegativeTTL bounds the life of NODATA and NXDOMAIN, and the TTL of the SOA
	// record that is told with them.
	MaxNegativeTTL time.Duration
	// MaxStale is how long an answer may be used after it has expired.
	MaxStale time.Duration
	// FailureTTL is how long a failure is the answer where there is no other: 1 s at
	// least and 5 min at most by RFC 9520 section 3.2.
	FailureTTL time.Duration
	// RefreshHold is how long after a failure a question is not asked again where
	// an answer can be used meanwhile (RFC 8767 section 5).
	RefreshHold time.Duration
}

// Make turns a reply to a key's question into an entry. The reply must be whole,
// its question section is not looked at, and it is neither kept nor changed.
//
// What is stored is the question, the chain of CNAME and DNAME records from the
// question's name, the records of the type asked for at its end, and for NODATA
// and NXDOMAIN the SOA record of a zone that the end lies in; with DO also the
// signatures of all these and the NSEC and NSEC3 records. Other records are
// nobody's question and are left out, OPT and TSIG among them, and so is AA. Names
// of the chain are in lower case, for the letters' case is that of our own
// question. The records of a set have one TTL (RFC 2181 section 5.2), and a TTL of
// 2^31 or more counts as 0 (RFC 2181 section 8).
//
// A positive answer lives as long as the least TTL of its records, the chain's
// included. A negative one lives as long as the least of the chain's TTLs, the SOA
// record's TTL and its MINIMUM (RFC 2308 section 5), and the SOA record is told
// with that TTL. All are bounded by lifetimes.
//
// The entry is not Kept, but can be told, where its life would be 0, where a chain
// has no end - longer than 16, a loop, or without a word about its last name - and
// where NODATA and NXDOMAIN come without SOA. Every rcode but NOERROR and NXDOMAIN
// is a failure, and one above 15 is told as SERVFAIL.
//
// The error wraps ErrReply: the key has no name, or the records cannot be packed.
func Make(key *Key, reply *dns.Msg, meta Meta, lifetimes Lifetimes, now time.Time) (Entry, error) {
	name := key.Question.Presentation()
	if name == "" {
		return Entry{}, fmt.Errorf("%w: the question has no name", ErrReply)
	}
	var short plain
	if short.pack(key, name, reply, wholeSeconds(lifetimes.MaxTTL)) {
		times, kept := lifeOf(short.life, reply, lifetimes)
		return newEntry(key, Positive, kept, meta, times, now, short.message()), nil
	}
	return makePicked(key, name, reply, meta, lifetimes, now)
}

// makePicked is Make for any reply.
func makePicked(key *Key, name string, reply *dns.Msg, meta Meta, lifetimes Lifetimes, now time.Time) (Entry, error) {
	message := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: reply.Rcode, AuthenticatedData: reply.AuthenticatedData}}
	message.Question = []dns.Question{{Name: name, Qtype: key.Question.Type, Qclass: key.Question.Class}}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return makeFailure(key, message, meta, lifetimes, now)
	}
	found := pick(key, name, reply, lifetimes)
	message.Answer, message.Ns = found.answer, found.authority
	packed, err := pack(message)
	if err != nil {
		return Entry{}, err
	}
	var times life
	kept := false
	if found.complete {
		times, kept = lifeOf(found.life, reply, lifetimes)
	}
	return newEntry(key, found.kind, kept, meta, times, now, packed), nil
}

// lifeOf is the life of a complete answer, by the least of its TTLs, and whether it is
// kept.
func lifeOf(least uint32, reply *dns.Msg, lifetimes Lifetimes) (times life, kept bool) {
	if least == 0 || reply.Truncated {
		return life{}, false
	}
	return life{fresh: least, stale: wholeSeconds(lifetimes.MaxStale)}, true
}

func makeFailure(key *Key, message *dns.Msg, meta Meta, lifetimes Lifetimes, now time.Time) (Entry, error) {
	if message.Rcode < 0 || message.Rcode > 0xf {
		message.Rcode = dns.RcodeServerFailure
	}
	message.AuthenticatedData = false
	times := life{fresh: wholeSeconds(lifetimes.FailureTTL), stale: wholeSeconds(lifetimes.RefreshHold)}
	packed, err := pack(message)
	if err != nil {
		return Entry{}, err
	}
	return newEntry(key, Failure, times.fresh > 0 || times.stale > 0, meta, times, now, packed), nil
}

// pack writes a message so that owners equal to the question's name are pointers
// to it.
func pack(message *dns.Msg) ([]byte, error) {
	message.Compress = true
	packed, err := message.Pack()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReply, err)
	}
	if !wire.Whole(packed) {
		return nil, fmt.Errorf("%w: packed it has %d bytes and is not whole", ErrReply, len(packed))
	}
	// miekg/dns reads records that end too early and writes them as short again; no
	// client could read the reply.
	if err := new(dns.Msg).Unpack(packed); err != nil {
		return nil, fmt.Errorf("%w: a record is too short: %w", ErrReply, err)
	}
	return packed, nil
}

// wholeSeconds rounds down, between 0 and the most that a TTL can be.
func wholeSeconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Second, 0), maxTTL))
}
