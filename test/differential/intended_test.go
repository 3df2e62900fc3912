//go:build linux

package differential

import (
	"fmt"

	"github.com/miekg/dns"
)

// exception is a kind of questions on which the servers may differ, and what the fast
// path owes there. The first that applies to a question counts.
type exception struct {
	name, reason string
	applies      func(q question, s shape) bool
	// owes says what is wrong with the fast path's reply, nil for none; "" for nothing.
	// It is nil where the replies are the same, but what is counted and logged is not.
	owes func(q question, s shape, fast *dns.Msg) string
}

// exceptions are all that is intended to differ.
var exceptions = []exception{
	{
		"no reply to a reply",
		"what is shorter than a header, or a reply, is never answered; both are silent",
		func(_ question, s shape) bool { return s.short || s.reply },
		func(_ question, _ shape, fast *dns.Msg) string {
			if fast != nil {
				return "a reply"
			}
			return ""
		},
	},
	{
		"an operation that nobody knows",
		"RFC 8906 section 8.2.7: NOTIMP has the question and an OPT record, RFC 6895 section 2: and RA; miekg/dns sends a bare header with the client's flags",
		func(_ question, s shape) bool { return !passed(s.opcode) },
		owesRcode(dns.RcodeNotImplemented),
	},
	{
		"no question, or several",
		"RFC 9619: FORMERR, with an OPT record (RFC 6891 section 7); RFC 7873 section 5.4: NOERROR with a cookie where there is no question but one; CoreDNS sends a bare header, or SERVFAIL",
		func(_ question, s shape) bool { return !s.oneQuestion },
		func(q question, s shape, fast *dns.Msg) string {
			if s.counts[0] == 0 && fast != nil && fast.Rcode == dns.RcodeSuccess {
				return ""
			}
			return owesRcode(dns.RcodeFormatError)(q, s, fast)
		},
	},
	{
		"an operation of another kind that cannot be read",
		"FORMERR with the question and RA, where miekg/dns sends a bare header with the client's flags, or misses that it is cut off",
		func(q question, s shape) bool {
			return s.opcode != dns.OpcodeQuery && (!s.whole || s.compressed || len(q.packet) > dns.MinMsgSize || unreadable(q))
		},
		owesReply,
	},
	{
		"a question whose name is compressed",
		"RFC 1035 section 4.1.4: nothing stands before it that it could point to, so FORMERR; miekg/dns follows pointers into the header",
		func(_ question, s shape) bool { return s.compressed },
		owesRcode(dns.RcodeFormatError),
	},
	{
		"cut off, or with octets behind the end",
		"FORMERR with the question; CoreDNS says SERVFAIL or REFUSED, answers what it could read, or sends FORMERR without the question",
		func(_ question, s shape) bool {
			return s.opcode == dns.OpcodeQuery && (!s.whole || s.behind)
		},
		owesRcode(dns.RcodeFormatError, dns.RcodeBadVers),
	},
	{
		"longer than 512 octets",
		"RFC 6891 section 6.2.3: a query may be as long as the size that we advertise; CoreDNS's own server reads 512 octets and answers FORMERR",
		func(q question, _ shape) bool { return len(q.packet) > dns.MinMsgSize },
		owesReply,
	},
	{
		"another EDNS version",
		"RFC 6891 section 6.1.3: BADVERS, with our size, the client's DO, and RA; CoreDNS sends the size 0 and no DO, and REFUSED first where the class is another",
		func(_ question, s shape) bool { return s.opcode == dns.OpcodeQuery && s.version != 0 },
		owesRcode(dns.RcodeBadVers, dns.RcodeFormatError),
	},
	{
		"malformed, and of another class",
		"FORMERR; CoreDNS looks at the class first, and refuses it",
		func(q question, s shape) bool {
			return s.qclass != dns.ClassINET && (len(s.opts) > 1 || s.misplaced || badOptions(s))
		},
		owesReply,
	},
	{
		"an OPT record in the wrong place",
		"FORMERR without an OPT record, for what cannot be read is not EDNS; CoreDNS's writer adds one",
		func(_ question, s shape) bool { return s.opcode == dns.OpcodeQuery && s.misplaced },
		owesRcode(dns.RcodeFormatError),
	},
	{
		"several OPT records",
		"FORMERR of both; the metrics differ, which count DO by the first of them, or by the last",
		func(_ question, s shape) bool { return s.opcode == dns.OpcodeQuery && len(s.opts) > 1 },
		owesRcode(dns.RcodeFormatError),
	},
	{
		"more records than a query has",
		"FORMERR of both: with our question and RA, or without",
		func(_ question, s shape) bool {
			return s.opcode != dns.OpcodeUpdate && (s.counts[1] > 1 || s.counts[2] > 1 || s.counts[3] > 2)
		},
		owesRcode(dns.RcodeFormatError),
	},
	{
		"contents that miekg/dns cannot read",
		"RFC 6891 section 6.1.2: an option that is not known, a client subnet for example, is passed over whatever is in it; CoreDNS's own server sends FORMERR",
		func(q question, _ shape) bool { return unreadable(q) },
		owesReply,
	},
	{
		"a size that CoreDNS computes",
		"CoreDNS takes the size of a query as it would write it: a client subnet, for example, with fewer or more octets than came; the fast path takes that of the packet",
		func(q question, _ shape) bool {
			request := new(dns.Msg)
			return request.Unpack(q.packet) == nil && request.Len() != len(q.packet)
		},
		nil,
	},
}

// passed are the operations that reach plugins.
func passed(opcode int) bool {
	return opcode == dns.OpcodeQuery || opcode == dns.OpcodeNotify || opcode == dns.OpcodeUpdate
}

func unreadable(q question) bool { return new(dns.Msg).Unpack(q.packet) != nil }

// badOptions reports whether the OPT record's options cannot be told apart, or a
// cookie has a length that none has.
func badOptions(s shape) bool {
	for _, opt := range s.opts {
		codes, bodies, whole := options(opt)
		if !whole {
			return true
		}
		for i, code := range codes {
			if length := len(bodies[i]); code == dns.EDNS0COOKIE && length != 8 && (length < 16 || length > 40) {
				return true
			}
		}
	}
	return false
}

// owesRcode wants one of some rcodes, and the question wherever it can be read.
func owesRcode(rcodes ...int) func(question, shape, *dns.Msg) string {
	return func(_ question, s shape, fast *dns.Msg) string {
		if fast == nil {
			return "no reply"
		}
		for _, rcode := range rcodes {
			if fast.Rcode != rcode {
				continue
			}
			if s.oneQuestion && s.name && !s.compressed && len(fast.Question) != 1 {
				return "a reply without the question"
			}
			return ""
		}
		return fmt.Sprintf("%s, want %s", dns.RcodeToString[fast.Rcode], dns.RcodeToString[rcodes[0]])
	}
}

func owesReply(_ question, _ shape, fast *dns.Msg) string {
	if fast == nil {
		return "no reply"
	}
	return ""
}

// exceptionOf returns the exception that applies to a question, nil for none.
func exceptionOf(q question) *exception {
	s := shapeOf(q.packet)
	for i := range exceptions {
		if exceptions[i].applies(q, s) {
			return &exceptions[i]
		}
	}
	return nil
}
