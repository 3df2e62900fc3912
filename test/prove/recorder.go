//go:build linux

package prove

import (
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// recorder is a name server that answers as public DNS does and remembers
// every question. It may be used by goroutines at once.
type recorder struct {
	address netip.AddrPort
	known   resources

	mutex sync.Mutex
	heard []dns.Question // names in lower case
}

// public starts a recorder that knows some resources.
func (p *proof) public(known resources) *recorder {
	p.t.Helper()
	r := &recorder{address: freeAddress(p.t), known: known}
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan struct{})
		server := &dns.Server{Addr: r.address.String(), Net: network, Handler: r, NotifyStartedFunc: func() { close(ready) }}
		failed := make(chan error, 1)
		go func() { failed <- server.ListenAndServe() }()
		select {
		case <-ready:
		case err := <-failed:
			p.t.Fatalf("serving public DNS on %s over %s: %v", r.address, network, err)
		}
		p.t.Cleanup(func() { _ = server.Shutdown() })
	}
	return r
}

// ServeDNS implements dns.Handler.
func (r *recorder) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg).SetReply(request)
	reply.RecursionAvailable = true
	if len(request.Question) == 1 {
		r.answer(reply)
	}
	if options := request.IsEdns0(); options != nil {
		reply.SetEdns0(1232, options.Do())
	}
	_ = w.WriteMsg(reply) // a client that has gone needs no answer
}

func (r *recorder) answer(reply *dns.Msg) {
	asked := reply.Question[0]
	asked.Name = strings.ToLower(asked.Name)
	r.mutex.Lock()
	r.heard = append(r.heard, asked)
	r.mutex.Unlock()
	var exists bool
	if reply.Answer, exists = r.known.publicly(asked.Name, asked.Qtype); !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if last := len(reply.Answer) - 1; last < 0 || reply.Answer[last].Header().Rrtype != asked.Qtype {
		reply.Ns = []dns.RR{&dns.SOA{
			Hdr: header("net.", dns.TypeSOA), Ns: "a.gtld-servers.net.", Mbox: "nstld.verisign-grs.com.",
			Serial: 1, Refresh: 1800, Retry: 900, Expire: 604800, Minttl: publicTTL,
		}}
	}
	// The question stays as it was spelled: a client may check its spelling.
	for _, record := range reply.Answer {
		if strings.EqualFold(record.Header().Name, reply.Question[0].Name) {
			record.Header().Name = reply.Question[0].Name
		}
	}
}

// questions returns what was heard so far.
func (r *recorder) questions() []dns.Question {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]dns.Question(nil), r.heard...)
}

// asked returns how often a name was asked for, whatever the type.
func (r *recorder) asked(name string) int {
	number := 0
	for _, q := range r.questions() {
		if q.Name == name {
			number++
		}
	}
	return number
}
