package privatelink

import (
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// query is a question with its circumstances. It is a value: nothing in it is
// shared with the packet it came in.
type query struct {
	// name is lower case and fully qualified.
	name          string
	qtype, qclass uint16
	opcode        int
	// malformed: more than one OPT record (RFC 6891, section 6.1.1).
	malformed     bool
	dnssecOK      bool
	checkDisabled bool

	client    netip.AddrPort
	transport string
	arrived   time.Time
}

// readQuery reads a request that has exactly one question.
func readQuery(w dns.ResponseWriter, request *dns.Msg, now time.Time) query {
	question := request.Question[0]
	q := query{
		name:          dns.CanonicalName(question.Name),
		qtype:         question.Qtype,
		qclass:        question.Qclass,
		opcode:        request.Opcode,
		checkDisabled: request.CheckingDisabled,
		client:        addrPort(w.RemoteAddr()),
		transport:     w.RemoteAddr().Network(),
		arrived:       now,
	}
	if options := request.IsEdns0(); options != nil {
		q.dnssecOK = options.Do()
	}
	q.malformed = countOptions(request.Extra) > 1
	return q
}

func countOptions(records []dns.RR) int {
	count := 0
	for _, record := range records {
		if record.Header().Rrtype == dns.TypeOPT {
			count++
		}
	}
	return count
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

// of is the same question for another name.
func (q query) of(name string) query {
	q.name = name
	return q
}

// supported reports whether a forwarder can answer this at all: it holds no
// zone that could be updated, notified or transferred.
func (q *query) supported() bool {
	return q.opcode == dns.OpcodeQuery && q.qtype != dns.TypeAXFR && q.qtype != dns.TypeIXFR
}

// question is what is asked upstream.
func (q *query) question() upstream.Question {
	return upstream.Question{Name: q.name, Type: q.qtype, Class: q.qclass, DO: q.dnssecOK, CD: q.checkDisabled}
}
