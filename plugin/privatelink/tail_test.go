package privatelink

import (
	"testing"

	"github.com/miekg/dns"
)

// Who asks for a CNAME itself is answered by it, whatever its target has.
func TestQuestionForTheCNAMEDoesNotCross(t *testing.T) {
	head := answers(t, map[string]func(*dns.Msg){
		"sql.corp.example. CNAME": records("sql.corp.example. 300 IN CNAME db1.database.windows.net."),
		"sql.corp.example. ANY":   records("sql.corp.example. 300 IN CNAME db1.database.windows.net."),
	})
	for _, upstream := range []string{silent(t), answers(t, nil)} {
		handler := newHandler(t, upstream, "upstream corp "+head+"\nroute corp.example corp", longAgo)
		for _, qtype := range []uint16{dns.TypeCNAME, dns.TypeANY} {
			reply := ask(t, handler, "10.30.0.4", "sql.corp.example.", qtype)
			if got := summary(reply.Answer); reply.Rcode != dns.RcodeSuccess || got != "sql.corp.example. CNAME db1.database.windows.net." {
				t.Errorf("%s = %s %q, want NOERROR and the CNAME", dns.TypeToString[qtype], dns.RcodeToString[reply.Rcode], got)
			}
		}
	}
}
