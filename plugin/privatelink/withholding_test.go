package privatelink

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// A downstream server that forwards first asks elsewhere after a failure.
func TestFailuresOfWhatMustBePrivateAreWithheld(t *testing.T) {
	const must = "clients resolver 10.30.0.4\nmust-private =db1.database.windows.net"
	tests := []struct {
		name, body, question string
		qtype                uint16
		wantRcode            int
		wantEDE              [2]uint16
		wantTTL              uint32 // of the SOA, 0 for none
	}{
		{"NODATA by default", must, "db1.database.windows.net.", dns.TypeA, dns.RcodeSuccess, [2]uint16{17, 17}, failureTTL},
		{"whatever the type", must, "db1.database.windows.net.", dns.TypeHTTPS, dns.RcodeSuccess, [2]uint16{17, 17}, failureTTL},
		{"a chase", must, "db1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeSuccess, [2]uint16{17, 17}, failureTTL},
		{"SERVFAIL where asked for", must + " withhold=servfail", "db1.database.windows.net.", dns.TypeA, dns.RcodeServerFailure, [2]uint16{22, 13}, 0},
		{"any other name", must, "db2.database.windows.net.", dns.TypeA, dns.RcodeServerFailure, [2]uint16{22, 13}, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			handler := newHandler(t, silent(t), tc.body, longAgo)
			for index, when := range []string{"asked upstream", "kept as a failure"} {
				reply := ask(t, handler, "10.30.0.4", tc.question, tc.qtype)
				code, _ := extendedError(reply)
				ttl := uint32(0)
				if len(reply.Ns) == 1 {
					ttl = reply.Ns[0].Header().Ttl
				}
				if reply.Rcode != tc.wantRcode || code != tc.wantEDE[index] || ttl != tc.wantTTL {
					t.Errorf("%s = %s, EDE %d, SOA for %d s; want %s, EDE %d, %d s", when, dns.RcodeToString[reply.Rcode], code, ttl, dns.RcodeToString[tc.wantRcode], tc.wantEDE[index], tc.wantTTL)
				}
			}
		})
	}
}

// The withheld answer is there before BIND asks elsewhere.
func TestPatienceBeforeWithholding(t *testing.T) {
	const must = "must-private db1.database.windows.net"
	tests := []struct {
		name, body, question string
		class                policy.Class
		kept                 bool
		want                 time.Duration
	}{
		{"any client", must, "db1.database.windows.net.", policy.Other, false, patienceBeforeWithholding},
		{"with an expired answer", must, "db1.database.windows.net.", policy.Resolver, true, patienceBeforeWithholding},
		{"a stub", must, "db1.database.windows.net.", policy.Stub, false, replyTime},
		{"where SERVFAIL is told", must + " withhold=servfail", "db1.database.windows.net.", policy.Other, false, replyTime},
		{"another name", must, "db2.database.windows.net.", policy.Other, false, replyTime},
		{"another name with an expired answer", must, "db2.database.windows.net.", policy.Other, true, patienceOtherwise},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := newHandler(t, silent(t), tc.body, longAgo).current.Load().service
			o := &outcome{query: query{name: tc.question}, decision: policy.Decision{Class: tc.class}, route: s.routes.rest}
			if tc.kept {
				o.stale = keptAddress(t, tc.question)
			}
			if got := s.patience(o); got != tc.want {
				t.Errorf("patience = %v, want %v", got, tc.want)
			}
		})
	}
}

// keptAddress is a kept answer with a private address.
func keptAddress(t *testing.T, name string) cache.Entry {
	t.Helper()
	kept := new(dns.Msg)
	records(name + " 10 IN A 10.0.2.4")(kept)
	entry, err := cache.Make(keyFor(t, name, dns.TypeA), kept, cache.Meta{}, cache.Lifetimes{MaxTTL: time.Minute}, start)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}
