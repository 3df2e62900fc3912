package verdict

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// possible tells which verdicts a finding's evidence allows.
func possible(qtype uint16, rcode int, got Finding, private Networks) map[Verdict]bool {
	isPublic := func(address netip.Addr) bool { return !private.Contain(address) }
	public := slices.ContainsFunc(got.Chain.Addresses, isPublic)
	switch hop := got.Zone != nil; {
	case rcode == dns.RcodeNameError && hop:
		return map[Verdict]bool{Missing: true}
	case rcode != dns.RcodeSuccess:
		return map[Verdict]bool{Other: true}
	case !carriesAddresses(qtype) || len(got.Chain.Addresses) == 0:
		return map[Verdict]bool{Other: true, NoData: true}
	case public:
		return map[Verdict]bool{Unlinked: hop, Public: !hop, NoData: true}
	default:
		return map[Verdict]bool{Private: true, NoData: true}
	}
}

// checkFinding holds what is true of every finding.
func checkFinding(t *testing.T, qtype uint16, msg *dns.Msg, got Finding, private Networks) {
	t.Helper()
	if !possible(qtype, msg.Rcode, got, private)[got.Verdict] {
		t.Errorf("verdict %s of rcode %d, type %d, zone %v, addresses %v", got.Verdict, msg.Rcode, qtype, got.Zone, got.Chain.Addresses)
	}
	if (got.Zone != nil) != (got.ZoneName != "") {
		t.Errorf("zone %v has the name %q", got.Zone, got.ZoneName)
	}
	if len(got.Chain.Links) > longestChain {
		t.Errorf("%d links, want at most %d", len(got.Chain.Links), longestChain)
	}
	for _, link := range got.Chain.Links {
		if link.Target != dns.CanonicalName(link.Target) || link.TTL < 0 {
			t.Errorf("link %+v is not in lower case and fully qualified with a TTL", link)
		}
	}
}

// sameFinding does not tell an empty list from none.
func sameFinding(a, b Finding) bool {
	same := slices.Equal(a.Chain.Links, b.Chain.Links) && slices.Equal(a.Chain.Addresses, b.Chain.Addresses) &&
		slices.Equal(a.Chain.types, b.Chain.types) && a.Chain.endless == b.Chain.endless
	a.Chain, b.Chain = Chain{}, Chain{}
	return same && reflect.DeepEqual(a, b)
}

func FuzzOf(f *testing.F) {
	seeds := [][]string{
		nil,
		{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN A 10.0.2.4"},
		{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN A 20.50.2.48", privateName + " 10 IN AAAA fd00::4"},
		{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN HTTPS 1 . ipv4hint=10.0.2.4 ipv6hint=2603:1030::1"},
		{publicName + " 60 IN CNAME " + publicName},
		{publicName + " 60 IN CNAME x.privatelink.example.net.", "x.privatelink.example.net. 60 IN CNAME " + privateName},
	}
	for _, records := range seeds {
		for _, rcode := range []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeHTTPS, dns.TypeANY, dns.TypeTXT} {
				packed, err := reply(f, publicName, qtype, rcode, records...).Pack()
				if err != nil {
					f.Fatalf("packing: %v", err)
				}
				f.Add(packed)
			}
		}
	}
	zones, private := loadCatalog(f), PrivateNetworks()
	f.Fuzz(func(t *testing.T, data []byte) {
		var msg dns.Msg
		if msg.Unpack(data) != nil || len(msg.Question) == 0 {
			return
		}
		name, qtype := dns.CanonicalName(msg.Question[0].Name), msg.Question[0].Qtype
		got := Of(name, qtype, &msg, zones, private)
		checkFinding(t, qtype, &msg, got, private)
		if again := Of(name, qtype, &msg, zones, private); !reflect.DeepEqual(got, again) {
			t.Errorf("Of() = %+v, then %+v, of the same message", got, again)
		}
		kept, err := msg.Pack() // what is kept has been packed by us
		emptyCNAME := func(record dns.RR) bool { cname, is := record.(*dns.CNAME); return is && cname.Target == "" }
		if err != nil || !wire.Whole(kept) || new(dns.Msg).Unpack(kept) != nil || slices.ContainsFunc(msg.Answer, emptyCNAME) {
			return
		}
		var reader Reader
		if read := reader.Of(name, qtype, kept, zones, private); !sameFinding(read, got) {
			t.Errorf("Reader.Of() = %+v, Of() = %+v, of the same message", read, got)
		}
	})
}
