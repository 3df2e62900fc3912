package privatelink

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// TestRepliesOverUDPAreBounded, whatever a client offers to take: who sends in somebody
// else's name gets little for it, of ANY (RFC 8482) least of all.
func TestRepliesOverUDPAreBounded(t *testing.T) {
	var large []string
	for index := range 100 {
		large = append(large, fmt.Sprintf("large.example. 60 IN A 192.0.2.%d", index), fmt.Sprintf("large.example. 60 IN TXT \"%0200d\"", index))
	}
	handler := newHandler(t, "127.0.0.1:9", "", longAgo)
	data := map[string]func(*dns.Msg){
		"large.example. ANY": records(large...),
		"large.example. TXT": records(large[1], large[3], large[5], large[7], large[9], large[11], large[13]),
		"small.example. ANY": records("small.example. 60 IN A 192.0.2.1", "small.example. 60 IN TXT \"text\""),
	}
	tests := []struct {
		name      string
		qtype     uint16
		transport string
		offers    uint16 // what the client takes, 0 for no EDNS
		most      int
		truncated bool
	}{
		{"large.example.", dns.TypeANY, "udp", 4096, 512, true},
		{"large.example.", dns.TypeANY, "udp", 0, 512, true},
		{"large.example.", dns.TypeANY, "tcp", 4096, 65535, false},
		{"small.example.", dns.TypeANY, "udp", 4096, 512, false},
		{"large.example.", dns.TypeTXT, "udp", 4096, 1232, true},
		{"large.example.", dns.TypeTXT, "udp", 65535, 1232, true},
		{"large.example.", dns.TypeTXT, "tcp", 512, 65535, false},
	}
	for _, tc := range tests {
		for way, send := range ways {
			t.Run(fmt.Sprintf("%s %s over %s to %d, %s", dns.TypeToString[tc.qtype], tc.name, tc.transport, tc.offers, way), func(t *testing.T) {
				request := new(dns.Msg).SetQuestion(tc.name, tc.qtype)
				if tc.offers > 0 {
					request.SetEdns0(tc.offers, false)
				}
				asked := new(wire.Query)
				if err := wire.QueryOf(request, false, asked); err != nil {
					t.Fatal(err)
				}
				keep(t, handler, asked, data[tc.name+" "+dns.TypeToString[tc.qtype]])
				reply := send(t, handler, "10.20.0.4", tc.transport, request)
				reply.Compress = true
				if reply.Len() > tc.most || reply.Truncated != tc.truncated || (len(reply.Answer) == 0) != tc.truncated {
					t.Errorf("%d bytes with %d records, TC %v; want at most %d, TC %v, and no record with it", reply.Len(), len(reply.Answer), reply.Truncated, tc.most, tc.truncated)
				}
			})
		}
	}
}

// keep keeps an answer as if the route of the root had brought it.
func keep(t *testing.T, handler *Handler, asked *wire.Query, fill func(*dns.Msg)) {
	t.Helper()
	service, reply, key := handler.current.Load().service, new(dns.Msg), cache.KeyOf(asked, "")
	fill(reply)
	entry, err := cache.Make(&key, reply, cache.Meta{Group: service.routes.rest.id}, cache.Lifetimes{MaxTTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	service.cache.Put(entry)
}
