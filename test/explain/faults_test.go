package explain

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// usual is a configuration without a fault.
const usual = "upstream azure UP\nroute catalog azure\nroute . azure"

// fault is one line of the table.
type fault struct {
	name string
	// break changes the cloud; second is another one, at OTHER.
	inject func(*cloud)
	second *cloud
	body   string
	// ask are the arguments of explain; explain and doctor what the last line must have.
	// Where doctor is empty, the fault is of one name only: doctor is given the name, and
	// must say what explain says.
	ask             string
	explain, doctor string
}

const db1 = "db1.database.windows.net"

var faults = []fault{
	{
		name:    "zone not linked",
		inject:  func(c *cloud) { delete(c.zones, "privatelink.database.windows.net.") },
		ask:     db1,
		explain: "privatelink.database.windows.net but the answer is public: the zone is not linked to the VNet of upstream azure",
	},
	{
		name:   "zone not linked of a name that must be private",
		inject: func(c *cloud) { delete(c.zones, "privatelink.database.windows.net.") },
		body:   usual + "\nmust-private database.windows.net", ask: db1,
		explain: "the zone is not linked to the VNet of upstream azure (its SOA there is public DNS's); link it, unless the endpoint belongs to someone else; the answer is withheld",
		doctor:  "privatelink.database.windows.net is not linked to the VNet of upstream azure, and names of database.windows.net must be private",
	},
	{
		name:   "zone not linked, and such answers withheld",
		inject: func(c *cloud) { delete(c.zones, "privatelink.database.windows.net.") },
		body:   usual + "\nunlinked withhold", ask: db1,
		explain: "unless the endpoint belongs to someone else; the answer is withheld, since \"unlinked withhold\" is set",
	},
	{
		name:   "zone not linked, as far as can be told",
		inject: func(c *cloud) { clear(c.zones); c.noSOA = true }, ask: db1,
		explain: "the chain enters privatelink.database.windows.net but the answer is public: the zone is not linked to the VNet of upstream azure, or the endpoint belongs to someone else",
	},
	{
		name:   "no zone linked at all",
		inject: func(c *cloud) { clear(c.zones) },
		ask:    db1, explain: "the zone is not linked", doctor: "none of the 8 zones looked at is linked to the VNet of upstream azure",
	},
	{
		name: "linked without a record", ask: "partner1.database.windows.net",
		explain: "is linked to the VNet of upstream azure but holds no record for this name",
	},
	{
		name: "two authorities, one asked",
		inject: func(c *cloud) {
			delete(c.zones["privatelink.database.windows.net."], "db1.privatelink.database.windows.net.")
		},
		second: azure(), body: usual + "\nupstream test OTHER\nroute test.example test", ask: db1,
		explain: "does not know this private endpoint; upstream test does, with 10.0.2.4: name both on the route (\"route catalog azure test\")",
	},
	{
		name: "two authorities, both asked", second: withDB1("10.9.0.4"),
		body: "upstream prod UP\nupstream test OTHER\nroute catalog prod test\nroute . prod", ask: db1,
		explain: "prod (10.0.2.4) and test (10.9.0.4) each have a private address for this name",
	},
	{
		name: "resolver answering SERVFAIL", inject: func(c *cloud) { c.rcode = dns.RcodeServerFailure },
		ask: db1, explain: "answers SERVFAIL: look there", doctor: "answers SERVFAIL for the SOA of . and SERVFAIL for localhost",
	},
	{
		name: "resolver refusing us", inject: func(c *cloud) { c.rcode = dns.RcodeRefused },
		ask: db1, explain: "answers REFUSED: look there", doctor: "answers REFUSED for the SOA of .",
	},
	{
		name: "resolver silent", inject: func(c *cloud) { c.dead = true },
		ask: db1, explain: "upstream azure does not reply", doctor: "replies neither over UDP nor over TCP",
	},
	{
		name: "UDP blocked", inject: func(c *cloud) { c.noUDP = true },
		ask: db1, explain: "replies over TCP but not over UDP: let UDP port", doctor: "replies over TCP but not over UDP",
	},
	{
		name: "TCP blocked", inject: func(c *cloud) { c.noTCP = true },
		ask: "more.database.windows.net", explain: "replies over UDP but not over TCP, and this answer is too long for UDP", doctor: "replies over UDP but not over TCP",
	},
	{
		name: "EDNS dropped", inject: func(c *cloud) { c.noEDNS = true },
		ask: db1, explain: "replies to questions without EDNS and drops those with it", doctor: "replies to questions without EDNS and drops those with it",
	},
	{
		name: "512-byte truncation", inject: func(c *cloud) { c.cut = true },
		ask: "many.database.windows.net", explain: "cuts replies at 512 bytes", doctor: "is cut over UDP, though 1232 are offered",
	},
	{
		name: "wrong route", inject: func(c *cloud) { clear(c.zones) }, second: azure(),
		body: "upstream corp UP\nupstream azure OTHER\nroute vault.azure.net corp\nroute catalog azure\nroute . azure", ask: "v1.vault.azure.net",
		explain: "sends this name to upstream corp, which does not see its private zone; upstream azure does, with 10.0.2.5",
		doctor:  "privatelink.vaultcore.azure.net is not linked to the VNet of upstream corp",
	},
	{
		name: "no route", body: "upstream azure UP\nroute corp.example azure", ask: db1,
		explain: "no route leads anywhere for this name",
	},
	{
		name: "wrong address range",
		inject: func(c *cloud) {
			c.zones["privatelink.database.windows.net."] = map[string][]string{"db1.privatelink.database.windows.net.": {"198.51.100.4"}}
		},
		ask: db1, explain: "is linked and holds 198.51.100.4 for this name, which is in no range that counts as private: declare the range with \"private NETWORK\"",
	},
	{name: "no question", ask: db1 + " --type AXFR", explain: "AXFR is no question for data"},
	{name: "direct lookup", ask: "v1.privatelink.vaultcore.azure.net", explain: "this is a direct lookup of a privatelink name, which the service's certificate does not carry: use v1.vault.azure.net"},
	{
		name: "AAAA refused", inject: func(c *cloud) { c.aaaa = dns.RcodeRefused },
		ask: db1, explain: "A is answered but AAAA is not: upstream azure says", doctor: "answers A but says REFUSED to AAAA",
	},
	{
		name: "AAAA refused, asked for", inject: func(c *cloud) { c.aaaa = dns.RcodeRefused },
		ask: db1 + " --type AAAA", explain: "upstream azure answers A for this name but not AAAA",
	},
	{
		name: "slow upstream", inject: func(c *cloud) { c.delay = 700 * time.Millisecond },
		ask: db1, explain: "to answer: look at the way there", doctor: "very slow",
	},
	{
		name: "slow site", second: &cloud{delay: 700 * time.Millisecond, zones: azure().zones, resources: azure().resources},
		body: "upstream prod UP\nupstream test OTHER\nroute catalog prod test\nroute . prod", ask: db1,
		explain: "site test took", doctor: "test 127.0.0.1", // the server's address follows
	},
	{
		name: "silent site", second: &cloud{dead: true},
		body: "upstream prod UP\nupstream test OTHER\nroute catalog prod test\nroute . prod", ask: db1,
		explain: "site test did not answer", doctor: "test 127.0.0.1",
	},
	{name: "client not served", body: usual + "\nclients deny 10.66.0.0/16", ask: db1 + " --client 10.66.0.1", explain: "client 10.66.0.1 is not served here"},
	{
		name: "a downstream server that goes elsewhere", second: &cloud{resources: azure().resources}, ask: db1 + " --server OTHER",
		explain: "\"privatelink-dns forwarders --services database.windows.net\" writes the forwarders",
	},
	{
		name: "a downstream server that is silent", second: &cloud{dead: true}, ask: db1 + " --server OTHER",
		explain: "this server has an answer; 127.0.0.1",
	},
	{
		name: "somebody else's endpoint, answered publicly", second: &cloud{resources: azure().resources},
		body: "upstream azure UP\nupstream public OTHER\nroute catalog azure missing=public\nroute . azure", ask: "partner1.database.windows.net",
		explain: "holds no record for this name, so upstream public answered from public DNS",
	},
	{
		name: "outage, answered publicly", inject: func(c *cloud) { c.dead = true }, second: azure(),
		body: "upstream azure UP\nupstream public OTHER\nroute catalog azure outage=public\nroute . azure", ask: "web1.database.windows.net",
		explain: "no server of upstream azure replies, so upstream public answered from public DNS", doctor: "replies neither over UDP nor over TCP",
	},
	{
		name: "linked without a record, redirected", inject: func(c *cloud) { c.redirect = true }, ask: "partner1.database.windows.net",
		explain: "is linked but holds no record for this name, and its link falls back to the internet",
	},
	{
		name: "public and must be private", body: usual + "\nmust-private web1.database.windows.net", ask: "web1.database.windows.net",
		explain: "the answer is withheld: must-private covers this name, and upstream azure answers with 203.0.113.11",
	},
	{
		name:   "a privatelink zone that is not catalogued",
		inject: func(c *cloud) { c.resources["db.example."] = "db.privatelink.example." }, ask: "db.example",
		explain: "the chain has the privatelink name db.privatelink.example, whose zone the catalog does not know",
	},
	{name: "no private endpoint", ask: "web1.database.windows.net", explain: "all is well: the answer is public and the chain has no privatelink name"},
	{name: "no fault", ask: db1, explain: "all is well: the answer is private, 10.0.2.4"},
}

func withDB1(address string) *cloud {
	c := azure()
	c.zones["privatelink.database.windows.net."] = map[string][]string{"db1.privatelink.database.windows.net.": {address}}
	return c
}

// TestLastLineNamesTheFault: by the configuration alone. Of a client, a type and another
// server only explain can be asked.
func TestLastLineNamesTheFault(t *testing.T) {
	for _, tc := range faults {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.body == "" {
				tc.body = usual
			}
			upstream := azure()
			upstream.zones = maps.Clone(upstream.zones)
			if tc.inject != nil {
				tc.inject(upstream)
			}
			addresses := map[string]string{"UP": upstream.serve(t)}
			if tc.second != nil {
				addresses["OTHER"] = tc.second.serve(t)
			}
			s := write(t, tc.body, addresses)
			ask := strings.ReplaceAll(tc.ask, "OTHER", addresses["OTHER"])
			expect(t, tc.explain, append([]string{"explain", "-c", s.corefile}, strings.Fields(ask)...)...)
			if tc.doctor != "" {
				expect(t, tc.doctor, "doctor", "-c", s.corefile)
			} else if !strings.Contains(ask, " ") && !strings.HasPrefix(tc.explain, "all is well") {
				expect(t, tc.explain, "doctor", "-c", s.corefile, ask)
			}
		})
	}
}

// expect runs the program, whose last line must have a text.
func expect(t *testing.T, want string, arguments ...string) {
	t.Helper()
	output, code := run(t, arguments...)
	last := lastLine(output)
	if !strings.Contains(last, want) {
		t.Errorf("%q ends with\n%s\nwant %q in it; it said\n%s", arguments, last, want, output)
	}
	if fine := strings.HasPrefix(want, "all is well"); fine != (code == 0) || code == 1 {
		t.Errorf("%q ended with %d", arguments, code)
	}
}
