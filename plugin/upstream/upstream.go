// Package upstream asks DNS servers: one server over UDP and, where the reply does
// not fit, over TCP, or over TLS or HTTPS; or a group of servers, one after the other.
// It keeps each server's budget and knows its health.
//
// It knows the DNS message, sockets and time. It knows nothing of routes,
// policy, verdicts, caches, metrics or logs: it returns replies and errors, and
// the caller says what they mean.
//
// Every query is a message of its own, made from a Question; no message of a
// client is passed on. The id belongs to the transport. Every query to a server,
// first or repeated, of a client or a probe, on whatever transport, passes through
// Server.send: there it gets a ticket from the pacer, which keeps the budget, and
// what becomes of it is learnt. The ticket's slot is released by the transport, which
// alone knows when the server is done with a query.
//
// Health and round trips are values without a clock (health, roundTrips); Server
// holds them, and its prober confirms or clears a suspicion. In which order the
// servers of a group are asked and when is decided by order and schedule, which are
// functions of candidates; race follows the plan. Another way to reach a server is
// another implementation of transport.
package upstream

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Question is what is asked (RFC 8499 section 4: QNAME, QTYPE, QCLASS, and the
// flags that change the answer). It is a value: it may be copied and asked by
// several goroutines at once.
type Question struct {
	// Name is a fully qualified name in presentation form, lower case.
	Name string
	// Type is the QTYPE, such as dns.TypeA.
	Type uint16
	// Class is the QCLASS, nearly always dns.ClassINET; it has no default.
	Class uint16
	// DO asks for DNSSEC records (RFC 3225).
	DO bool
	// CD asks the server not to validate (RFC 4035 section 3.2.2).
	CD bool
	// Network is that of the client it is asked for, which is no part of what is sent: when
	// a server's budget is spent, networks take turns. The zero value is nobody's, for
	// our own questions.
	Network netip.Prefix
}

// Transport names the protocol a query was sent over.
type Transport string

// The transports of RFC 1035 section 4.2, DNS over TLS (RFC 7858) and DNS over HTTPS
// (RFC 8484).
const (
	UDP   Transport = "udp"
	TCP   Transport = "tcp"
	TLS   Transport = "tls"
	HTTPS Transport = "https"
)

// Answer is a checked reply: it came from the server that was asked, to this
// query, whole.
type Answer struct {
	// Msg is never nil and belongs to the caller. Its id is 0, its question
	// section is the Question that was asked whatever the server's spelling, its
	// OPT record is removed, and Rcode is the full extended rcode (RFC 6891
	// section 6.1.3). Flags and records are the server's.
	Msg *dns.Msg
	// Wire is the whole message as it was received, which Msg was read from: with the
	// OPT record and whatever compression and order the server chose. It is never nil and
	// belongs to the caller. Its id is 0, and the question's name has the question's own
	// spelling in the question section and as a record's owner, whatever the server's.
	// A failure that came without a question section has none here.
	Wire []byte
	// Server is the server that replied.
	Server netip.AddrPort
	// Transport is what the reply came over.
	Transport Transport
	// RTT is the time from sending this query on Transport to its reply. For TCP
	// it includes connecting; a UDP reply that led to TCP is not part of it.
	RTT time.Duration
	// EDE are the extended DNS errors of the reply (RFC 8914), nil if there are none: the
	// first four at most. Their texts are valid UTF-8 and have 128 bytes at most; what is
	// longer is cut, and what is not UTF-8 left out.
	EDE []dns.EDNS0_EDE
	// Attempts are the queries of the group that were not answered well: servers
	// that failed and servers that were silent until this reply came, in the order
	// in which they were asked. It is nil when the first server's reply is the
	// answer, and always when a Server was asked directly.
	Attempts []Attempt
}

// Attempt is one server asked in vain.
type Attempt struct {
	// Server is the server that was asked.
	Server netip.AddrPort
	// Transport is what failed. For a server that is still being waited for it is the
	// one that is asked first, also where UDP has already sent us on to TCP.
	Transport Transport
	// Elapsed is the time from asking to the failure, or, for a silent server, to
	// the moment at which the group stopped waiting.
	Elapsed time.Duration
	// Rcode is the full extended rcode of the reply. It means something only where
	// Err is nil.
	Rcode int
	// EDE are the extended DNS errors of the reply, bounded like those of an Answer. They
	// say why the server failed, where it says so: that DNSSEC validation did, for
	// instance. It is nil where Err is not.
	EDE []dns.EDNS0_EDE
	// Err says why there is no reply, ErrSilent among others; nil means that the
	// server replied, with Rcode.
	Err error
}

// String tells server, transport and failure on one line:
// "10.0.0.4:53/udp SERVFAIL", "10.0.0.5:53/udp no reply".
func (a Attempt) String() string {
	if a.Err != nil {
		return fmt.Sprintf("%s/%s %v", a.Server, a.Transport, a.Err)
	}
	if name, ok := dns.RcodeToString[a.Rcode]; ok {
		return fmt.Sprintf("%s/%s %s", a.Server, a.Transport, name)
	}
	return fmt.Sprintf("%s/%s RCODE%d", a.Server, a.Transport, a.Rcode)
}
