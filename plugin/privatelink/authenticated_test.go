package privatelink

import (
	"testing"

	"github.com/miekg/dns"
)

// Who asks for AD is told of it whoever asked before, and nobody else is.
func TestAuthenticatedAnswerIsKept(t *testing.T) {
	const name = "signed.example.org."
	upstream := serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg).SetReply(request)
		records(name + " 300 IN A 192.0.2.1")(reply)
		reply.AuthenticatedData = request.AuthenticatedData
		_ = w.WriteMsg(reply)
	})
	handler := newHandler(t, upstream, "", longAgo)
	for _, wants := range []bool{false, true, false} {
		request := new(dns.Msg).SetQuestion(name, dns.TypeA)
		request.AuthenticatedData = wants
		if got := exchange(t, handler, "10.30.0.4", request).AuthenticatedData; got != wants {
			t.Errorf("asked with AD %v, the reply has AD %v", wants, got)
		}
	}
}
