package privatelink

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// query is a question with its circumstances. Nothing in it is shared with the
// packet it came in, but a read loop uses the memory again for its next query: who
// waits takes a copy that is detached.
type query struct {
	// asked is the question on the wire, with all that the reply depends on.
	asked *wire.Query
	key   cache.Key
	// name is lower case and fully qualified.
	name          string
	qtype, qclass uint16
	opcode        int
	// malformed: the records or EDNS options cannot be read, or there is more than one
	// OPT record (RFC 6891, section 6.1.1).
	malformed bool

	client netip.AddrPort
	// server is the address that was asked, if it is known; packet the question as it
	// came, nil where it is not at hand, and size its length.
	server    netip.AddrPort
	packet    []byte
	size      int
	transport string
	arrived   time.Time
}

// readQuery reads a request that has exactly one question. View is the name of
// CoreDNS's view, empty for none.
func readQuery(w dns.ResponseWriter, request *dns.Msg, view string, now time.Time) query {
	question := request.Question[0]
	asked := new(wire.Query)
	err := wire.QueryOf(request, w.RemoteAddr().Network() == "tcp", asked)
	return query{
		asked:     asked,
		key:       cache.KeyOf(asked, view),
		malformed: err != nil && !errors.Is(err, wire.ErrUnusual) && !errors.Is(err, wire.ErrOpcode),
		name:      dns.CanonicalName(question.Name),
		qtype:     question.Qtype,
		qclass:    question.Qclass,
		opcode:    request.Opcode,
		client:    addrPort(w.RemoteAddr()),
		server:    addrPort(w.LocalAddr()),
		size:      request.Len(),
		transport: w.RemoteAddr().Network(),
		arrived:   now,
	}
}

func addrPort(address net.Addr) netip.AddrPort {
	switch address := address.(type) {
	case *net.UDPAddr:
		return unmap(address.AddrPort())
	case *net.TCPAddr:
		return unmap(address.AddrPort())
	}
	parsed, _ := netip.ParseAddrPort(address.String())
	return unmap(parsed)
}

func unmap(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

// of is the same question for another name of its chain. What the client asked,
// and so the key that its answer is kept under, stays.
func (q query) of(name string) query {
	q.name = name
	return q
}

// detached returns a copy that may outlive the packet. What the client asked, on
// the wire, is not part of it.
func (q *query) detached() query {
	copied := *q
	copied.name, copied.asked, copied.packet = strings.Clone(q.name), nil, bytes.Clone(q.packet)
	return copied
}

// supported reports whether a forwarder can answer this at all: it holds no
// zone that could be updated, notified or transferred.
func (q *query) supported() bool {
	switch q.qtype {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeOPT, dns.TypeTKEY, dns.TypeTSIG:
		return false // OPT, TKEY and TSIG are parts of messages, and never data
	}
	return q.opcode == dns.OpcodeQuery
}

// question is what is asked upstream: for the network of the client who asked first, where
// several share it.
func (q *query) question() upstream.Question {
	return upstream.Question{
		Name: q.name, Type: q.qtype, Class: q.qclass, DO: q.key.DO, CD: q.key.CD,
		Network: ratelimit.NetworkOf(q.client.Addr()),
	}
}
