// Package querylog writes the record of who asked what and why it was answered
// so, to several sinks at once: files, streams, dnstap, Azure Monitor.
//
// It knows the record and the sinks. It does not know how a query is answered,
// and it never delays an answer: what a sink cannot take is dropped and counted.
package querylog

import (
	"net/netip"
	"time"
)

// Schema is the version of the record's fields. It grows by one when a field
// is renamed, removed or changes its meaning; a new field alone does not change it.
const Schema = 1

// Record is one query and its answer: what a line of the log says. It is flat;
// README.md names each field's column. Everything that a Record refers to,
// strings and slices alike, need only be valid during the call that takes it:
// the caller may build them in memory that it uses again. Zero fields are left
// out of the line unless the README says that they are always there.
type Record struct {
	// Time is when the query arrived.
	Time time.Time
	// Client is where the query came from, Server the local address and port it
	// came to; Server may be the zero value.
	Client, Server netip.AddrPort
	// Transport is how it came: udp, tcp, tls, https, quic.
	Transport string
	// ClientClass is what the client was declared to be: other, stub, resolver, denied.
	ClientClass string
	// RealClient is who really asked, as a declared resolver told it in EDNS
	// Client Subnet (RFC 7871); the zero value where nobody did. RealClientID is
	// what it told in another EDNS option.
	RealClient   netip.Prefix
	RealClientID string

	// ID is the query's message ID.
	ID uint16
	// Name is the name asked for, lower case, with its final dot.
	Name string
	// Type and Class are those asked for.
	Type, Class uint16
	// QueryFlags and ReplyFlags are the header bits of each message, and DO.
	QueryFlags, ReplyFlags Flags
	// QuerySize and ReplySize are the messages' sizes in bytes, without TCP's length.
	QuerySize, ReplySize int

	// Rcode is what the client was told, the EDNS part included.
	Rcode uint16
	// HasEDE tells that the reply carries an extended error (RFC 8914): EDECode,
	// with EDEText, which may be empty.
	HasEDE  bool
	EDECode uint16
	EDEText string

	// Chain are the names that CNAMEs led over, Answers the addresses at its
	// end. At most 64 of each are written.
	Chain   []string
	Answers []netip.Addr
	// Verdict is what the answer means; empty where nothing was asked upstream.
	Verdict string
	// Namespace is the catalogued namespace of the name; PrivatelinkZone the
	// catalogued zone that the name or its chain enters; UncataloguedPrivatelink
	// a name of the chain with a privatelink label that the catalog does not know.
	Namespace, PrivatelinkZone, UncataloguedPrivatelink string

	// Direct: the name itself lies in a catalogued privatelink zone. Chase: the
	// client follows a chain that it was given.
	Direct, Chase bool
	// PolicyRule is the rule that decided, PolicyAction what it decided. Any
	// action but allow and the empty one is a policy hit: sampling keeps it.
	PolicyRule, PolicyAction string

	// Cache is where the answer came from: hit, stale, miss, shared (with others
	// who asked at the same time), failed (a failure a moment ago), prefetch (a hit that
	// had its answer asked for again before it expires).
	Cache string
	// Route is the route taken, Group the upstream group that answered, Site the
	// place whose view of private zones that group gives.
	Route, Group, Site string
	// Upstream is the server that answered, UpstreamTransport how it was asked
	// and UpstreamDuration its round trip.
	Upstream, UpstreamTransport string
	UpstreamDuration            time.Duration
	// Fallback is the other way the answer came: missing or outage.
	Fallback string
	// Error is why no upstream answered; at most 1,024 bytes are written.
	Error string

	// Duration is the time from the query's arrival to the reply.
	Duration time.Duration

	// Query and Reply are the client's messages as they were on the wire, and
	// Exchanges those with upstreams, for sinks that take whole messages
	// (see Log.TakesMessages); lines of JSON have nothing of them.
	Query, Reply []byte
	Exchanges    []Exchange
}

// Exchange is one question to an upstream and, unless Reply is nil, its answer.
type Exchange struct {
	// Server was asked over Transport (udp, tcp, tls, https).
	Server    netip.AddrPort
	Transport string
	// Sent and Received are when the messages left and came.
	Sent, Received time.Time
	// Query and Reply are the messages as they were on the wire.
	Query, Reply []byte
}

// Flags are the header bits of a message (RFC 1035, 4035) and EDNS's DO.
type Flags uint8

// The flags, in the order in which they are written.
const (
	FlagAA Flags = 1 << iota // authoritative answer
	FlagTC                   // truncated
	FlagRD                   // recursion desired
	FlagRA                   // recursion available
	FlagAD                   // authentic data
	FlagCD                   // checking disabled
	FlagDO                   // DNSSEC OK
)

// flagNames are the flags' names, each at its bit's place.
var flagNames = [...]string{"AA", "TC", "RD", "RA", "AD", "CD", "DO"}

// failed reports whether the client was told a failure: any rcode but NOERROR
// and NXDOMAIN, which are answers.
func (r *Record) failed() bool {
	return r.Error != "" || r.Rcode != rcodeNoError && r.Rcode != rcodeNXDomain
}

// policyHit reports whether policy did anything but let the query pass.
func (r *Record) policyHit() bool { return r.PolicyAction != "" && r.PolicyAction != "allow" }
