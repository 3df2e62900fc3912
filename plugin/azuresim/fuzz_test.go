package azuresim

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// A world either loads or says why, and what loads answers everything.
func FuzzParseWorld(f *testing.F) {
	f.Add(demo)
	f.Add([]byte("vnets: [{name: a, networks: [10.0.0.0/8], internal_zone: x, internal_records: 'a A 10.0.0.1'}]\n"))
	f.Add([]byte("vnets: [{name: a}]\npublic:\n  zones:\n    - name: a.b\n      records: |\n        $GENERATE 1-9/2 a${1,3,x} 5 IN CNAME $\n        * TXT \"x\"\n"))
	f.Add([]byte("vnets: [{name: a}]\nprivate_zones:\n  - {name: privatelink.b, links: [{vnet: a, nxdomain_redirect: true}], records: '@ SOA a b 1 2 3 4 5'}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const room = 300
		w, err := parseWorld("w.yaml", data, room)
		if (w == nil) != (err != nil) {
			t.Fatalf("parseWorld() = %v, %v, want one of them", w, err)
		}
		if err != nil {
			return
		}
		zones := slices.Clone(w.private)
		for _, z := range w.public {
			zones = append(zones, z)
		}
		for _, v := range w.vnets {
			for _, z := range zones {
				for name := range z.names {
					check(t, w, v, dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET})
					check(t, w, v, dns.Question{Name: "a." + name, Qtype: dns.TypeANY, Qclass: dns.ClassINET})
				}
			}
		}
	})
}

// Whatever a packet asks, the answer fits together and can be sent.
func FuzzResolve(f *testing.F) {
	for _, question := range []dns.Question{
		{Name: "db1.database.windows.net.", Qtype: dns.TypeA, Qclass: dns.ClassINET},
		{Name: "PARTNER1.database.windows.net.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET},
		{Name: "*.apps.example.org.", Qtype: dns.TypeANY, Qclass: dns.ClassINET},
		{Name: ".", Qtype: dns.TypeAXFR, Qclass: dns.ClassANY},
		{Name: `a\.b\000.example.org.`, Qtype: dns.TypeOPT, Qclass: dns.ClassINET},
	} {
		wire, err := (&dns.Msg{Question: []dns.Question{question}}).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	w := demoWorld(f)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m dns.Msg
		if m.Unpack(wire) != nil || len(m.Question) != 1 {
			return
		}
		for _, v := range w.vnets {
			check(t, w, v, m.Question[0])
		}
	})
}

// check resolves a question and holds the answer against what every answer
// must be.
func check(t *testing.T, w *World, v *VNet, q dns.Question) {
	t.Helper()
	if _, ok := dns.IsDomainName(q.Name); !ok {
		return
	}
	m := w.Resolve(v, q)
	if _, err := m.Pack(); err != nil && m.Len() <= dns.MaxMsgSize {
		t.Errorf("Resolve(%v) cannot be sent: %v", q, err)
	}
	owner := checkOwners(t, q, m)
	complete := len(m.Answer) > 0 && m.Answer[len(m.Answer)-1].Header().Name == owner
	negative := m.Rcode == dns.RcodeNameError || m.Rcode == dns.RcodeSuccess && !complete
	if negative != (len(m.Ns) == 1) {
		t.Errorf("Resolve(%v) = %v, want a SOA in negative answers and in no other", q, m)
	}
}

// checkOwners holds every record's owner against the chain of CNAMEs before
// it, and returns the name where the chain ends.
func checkOwners(t *testing.T, q dns.Question, m *dns.Msg) string {
	t.Helper()
	owner := q.Name
	for i, rr := range m.Answer {
		if rr.Header().Name != owner {
			t.Errorf("Resolve(%v) record %d belongs to %q, want %q", q, i, rr.Header().Name, owner)
		}
		if alias, ok := rr.(*dns.CNAME); ok && q.Qtype != dns.TypeCNAME && q.Qtype != dns.TypeANY {
			owner = alias.Target
		}
	}
	return owner
}
