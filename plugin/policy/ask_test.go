package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

func azure(t testing.TB) *catalog.Catalog {
	t.Helper()
	data, found := zones.Lookup("azure")
	if !found {
		t.Fatal("zones.Lookup(azure) found nothing")
	}
	loaded, err := catalog.Load([]catalog.Source{{Path: "zones/azure.yaml", Data: data}}, nil)
	if err != nil {
		t.Fatalf("catalog.Load(azure) = %v, want nil", err)
	}
	return loaded
}

// The dimensions of the decision table.
var (
	classAddresses = map[Class]netip.Addr{
		Other: netip.MustParseAddr("172.16.1.1"), Stub: netip.MustParseAddr("10.20.0.7"),
		Resolver: netip.MustParseAddr("10.30.0.4"), Denied: netip.MustParseAddr("192.0.2.1"),
	}
	kindNames = map[string]string{
		"public":     "v1.vault.azure.net.",
		"apex":       "privatelink.vaultcore.azure.net.",
		"legitimate": "v1-asr-pod01-rcm1.eus.privatelink.siterecovery.windowsazure.com.",
		"endpoint":   "v1.privatelink.vaultcore.azure.net.",
	}
	questionTypes = []uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeSOA, dns.TypeNS, dns.TypeDS,
		dns.TypeCNAME, dns.TypeTXT, dns.TypeSRV, dns.TypePTR, dns.TypeANY, dns.TypeNone, 65280,
	}
	memories = []Memory{NotGiven, Remembered, Forgotten, NothingYet}
)

func declaredClients(t testing.TB) *Clients {
	t.Helper()
	return declareAll(t, []declared{{"stub", "10.20.0.0/16"}, {"resolver", "10.30.0.4/32"}, {"deny", "192.0.2.0/24"}})
}

// memoryThatSays returns a memory with one answer, at noon, for every client
// and name of the table.
func memoryThatSays(t testing.TB, memory Memory) *ChaseMemory {
	t.Helper()
	m := settled()
	if memory == NothingYet {
		m = NewChaseMemory(1, noon)
	}
	for _, client := range classAddresses {
		for _, name := range kindNames {
			switch bucket, _ := m.locate(client, name); memory {
			case Remembered:
				m.Remember(client, name, ttl, noon)
			case Forgotten:
				bucket[0].Store(uint64(noon.Add(ttl).Unix()))
			}
		}
	}
	for _, client := range classAddresses {
		for _, name := range kindNames {
			expectMemory(t, m, client, name, noon, memory)
		}
	}
	return m
}

// situation is one point of the decision table.
type situation struct {
	class      Class
	kind       string
	qtype      uint16
	memory     Memory
	configured Action
}

// decisionRow covers every situation for which covers is true.
type decisionRow struct {
	name   string
	covers func(situation) bool
	// action is what is decided; nil is what is configured for the class.
	action *Action
	rule   Rule
	// chase tells whether a remembered chain makes this a chase.
	chase bool
}

func served(s situation) bool { return s.class != Denied }

// lookup is an A question, of a client that is served, for a name of a kind.
func lookup(s situation, kind string) bool {
	return served(s) && s.kind == kind && s.qtype == dns.TypeA
}

func undeclared(s situation, memory Memory) bool {
	return lookup(s, "endpoint") && s.class == Other && s.memory == memory
}

func decisionTable() []decisionRow {
	return []decisionRow{
		{name: "a client that is not served", covers: func(s situation) bool { return !served(s) }, action: new(Refuse), rule: ClientNotServed},
		{name: "an ordinary name", covers: func(s situation) bool { return served(s) && s.kind == "public" }, action: new(Allow), rule: NoRule},
		{name: "another type than A", covers: func(s situation) bool { return served(s) && s.kind != "public" && s.qtype != dns.TypeA }, action: new(Allow), rule: OtherType, chase: true},
		{name: "the zone itself", covers: func(s situation) bool { return lookup(s, "apex") }, action: new(Allow), rule: ZoneApex},
		{name: "a legitimate name", covers: func(s situation) bool { return lookup(s, "legitimate") }, action: new(Allow), rule: LegitimateName},
		{name: "a declared resolver", covers: func(s situation) bool { return lookup(s, "endpoint") && s.class == Resolver }, rule: DeclaredResolver, chase: true},
		{name: "a stub, whatever is remembered", covers: func(s situation) bool { return lookup(s, "endpoint") && s.class == Stub }, rule: DirectLookup, chase: false},
		{name: "a chase", covers: func(s situation) bool { return undeclared(s, Remembered) }, action: new(Allow), rule: Chase, chase: true},
		{name: "a direct lookup", covers: func(s situation) bool { return undeclared(s, NotGiven) }, rule: DirectLookup},
		{name: "allowed after an overflow", covers: func(s situation) bool { return undeclared(s, Forgotten) && s.configured == Allow }, action: new(Allow), rule: Overflow},
		{name: "doubtful after an overflow", covers: func(s situation) bool { return undeclared(s, Forgotten) && s.configured != Allow }, action: new(Audit), rule: Overflow},
		{name: "allowed in the first minute", covers: func(s situation) bool { return undeclared(s, NothingYet) && s.configured == Allow }, action: new(Allow), rule: Starting},
		{name: "doubtful in the first minute", covers: func(s situation) bool { return undeclared(s, NothingYet) && s.configured != Allow }, action: new(Audit), rule: Starting},
	}
}

// situations are all points of the table.
func situations() []situation {
	var all []situation
	for class := range Classes {
		for kind := range kindNames {
			for _, qtype := range questionTypes {
				for _, memory := range memories {
					for _, configured := range Actions() {
						all = append(all, situation{class, kind, qtype, memory, configured})
					}
				}
			}
		}
	}
	return all
}

// Every combination of class, name, type, memory and configured action is
// decided by exactly one row.
func TestAskDecisionTable(t *testing.T) {
	zones, clients := azure(t), declaredClients(t)
	chains := map[Memory]*ChaseMemory{}
	for _, memory := range memories {
		chains[memory] = memoryThatSays(t, memory)
	}
	rows, all := decisionTable(), situations()
	covered := map[situation]string{}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			count := 0
			for _, s := range all {
				if !row.covers(s) {
					continue
				}
				count++
				if other, twice := covered[s]; twice {
					t.Fatalf("%+v is covered by %q too", s, other)
				}
				covered[s] = row.name
				policy := Policy{Clients: clients, Chains: chains[s.memory]}
				policy.Direct[s.class] = s.configured
				want := Decision{Action: s.configured, Rule: row.rule, Class: s.class, Direct: s.kind != "public", Chase: row.chase && s.memory == Remembered}
				if row.action != nil {
					want.Action = *row.action
				}
				name := kindNames[s.kind]
				if got := policy.Ask(classAddresses[s.class], name, s.qtype, zones.Match(name), noon); got != want && !t.Failed() {
					t.Errorf("Ask(%s client, %q, %s) with memory %s and %s configured = %+v, want %+v",
						s.class, name, dns.Type(s.qtype), memoryNames[s.memory], s.configured, got, want)
				}
			}
			if count == 0 {
				t.Error("the row covers nothing")
			}
		})
	}
	if len(covered) != len(all) {
		t.Errorf("the rows cover %d of %d situations", len(covered), len(all))
	}
}

// Whatever is configured, no type but A is ever rejected for being direct: a
// REFUSED beside a working A breaks some clients' whole resolution.
func TestAskOtherTypesAreNeverRejected(t *testing.T) {
	zones := azure(t)
	policy := Policy{Clients: declaredClients(t), Chains: settled(), Direct: [Classes]Action{Refuse, NXDomain, Refuse}}
	names := []string{
		"v1.privatelink.vaultcore.azure.net.", "privatelink.vaultcore.azure.net.", "db1.privatelink.database.windows.net.",
		"r.eastus.data.privatelink.azurecr.io.", "x.privatelink-global.wvd.microsoft.com.", "c1.privatelink.eastus.kusto.windows.net.",
	}
	for qtype := range uint16(300) {
		if qtype == dns.TypeA {
			continue
		}
		for _, name := range names {
			for _, class := range []Class{Other, Stub, Resolver} {
				got := policy.Ask(classAddresses[class], name, qtype, zones.Match(name), noon)
				if got.Action != Allow || got.Rule != OtherType || !got.Direct {
					t.Fatalf("Ask(%s client, %q, %s) = %+v, want it allowed as %s", class, name, dns.Type(qtype), got, OtherType)
				}
			}
		}
	}
}

// RejectsLookups says what Ask says of an A question out of the blue.
func TestRejectsLookupsIsWhatAskSays(t *testing.T) {
	zones := azure(t)
	for _, action := range []Action{Allow, Audit, Refuse, NXDomain} {
		policy := Policy{Clients: declaredClients(t), Chains: settled()}
		policy.Direct[Other] = action
		for kind, name := range kindNames {
			match := zones.Match(name)
			want := policy.Ask(classAddresses[Other], name, dns.TypeA, match, noon).Action.Rejects()
			if got := policy.RejectsLookups(name, match); got != want {
				t.Errorf("RejectsLookups(%q), %s, with %s configured = %v, want %v as Ask has it", name, kind, action, got, want)
			}
			if kind == "endpoint" && want != action.Rejects() {
				t.Errorf("Ask of %q with %s configured rejects: %v", name, action, want)
			}
		}
	}
}

// What the shipped catalog says of names that are asked for directly, for a
// client that nobody declared, under the default policy.
func TestAskWithShippedCatalog(t *testing.T) {
	tests := []struct {
		name   string
		qname  string
		action Action
		rule   Rule
	}{
		{name: "SQL", qname: "db1.privatelink.database.windows.net.", action: Refuse, rule: DirectLookup},
		{name: "Key Vault", qname: "v1.privatelink.vaultcore.azure.net.", action: Refuse, rule: DirectLookup},
		{name: "a name below an endpoint", qname: "a.b.c.privatelink.vaultcore.azure.net.", action: Refuse, rule: DirectLookup},
		{name: "a wildcard asked as such", qname: "*.privatelink.vaultcore.azure.net.", action: Refuse, rule: DirectLookup},
		{name: "the label deeper than second", qname: "r.eastus.data.privatelink.azurecr.io.", action: Refuse, rule: DirectLookup},
		{name: "privatelink-global", qname: "x.privatelink-global.wvd.microsoft.com.", action: Refuse, rule: DirectLookup},
		{name: "a zone with a placeholder", qname: "c1.privatelink.eastus.kusto.windows.net.", action: Refuse, rule: DirectLookup},

		{name: "AKS", qname: "aks1-1a2b3c.0f0f.privatelink.eastus.azmk8s.io.", action: Allow, rule: LegitimateName},
		{name: "AKS with a subzone", qname: "aks1.team1.privatelink.westeurope.azmk8s.io.", action: Allow, rule: LegitimateName},
		{name: "Site Recovery", qname: "v1-asr-pod01-rcm1.eus.privatelink.siterecovery.windowsazure.com.", action: Allow, rule: LegitimateName},
		{name: "Site Recovery, another name", qname: "v1.privatelink.siterecovery.windowsazure.com.", action: Refuse, rule: DirectLookup},
		{name: "Power BI", qname: "0a1b2c-api.privatelink.analysis.windows.net.", action: Allow, rule: LegitimateName},
		{name: "Power BI, another name", qname: "0a1b2c.privatelink.analysis.windows.net.", action: Refuse, rule: DirectLookup},

		{name: "apex of SQL", qname: "privatelink.database.windows.net.", action: Allow, rule: ZoneApex},
		{name: "apex of Virtual Desktop", qname: "privatelink-global.wvd.microsoft.com.", action: Allow, rule: ZoneApex},
		{name: "apex of a zone with a placeholder", qname: "privatelink.eastus.kusto.windows.net.", action: Allow, rule: ZoneApex},
		{name: "apex of AKS", qname: "privatelink.eastus.azmk8s.io.", action: Allow, rule: ZoneApex},

		{name: "the public name", qname: "db1.database.windows.net.", action: Allow, rule: NoRule},
		{name: "a privatelink label the catalog does not know", qname: "ak.privatelink.msidentity.com.", action: Allow, rule: NoRule},
		{name: "a lookalike", qname: "db1.notprivatelink.database.windows.net.", action: Allow, rule: NoRule},
		{name: "a lookalike of the zone", qname: "db1.privatelink.database.windows.net.example.org.", action: Allow, rule: NoRule},
		{name: "nothing of Azure", qname: "www.example.org.", action: Allow, rule: NoRule},
		{name: "the root", qname: ".", action: Allow, rule: NoRule},
	}
	zones := azure(t)
	policy := Policy{Clients: &Clients{}, Chains: settled(), Direct: DefaultDirect()}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			want := Decision{Action: tc.action, Rule: tc.rule, Direct: tc.rule != NoRule}
			if got := policy.Ask(asker, tc.qname, dns.TypeA, zones.Match(tc.qname), noon); got != want {
				t.Errorf("Ask(%q) = %+v, want %+v", tc.qname, got, want)
			}
		})
	}
}

// The story of a company's resolver that nobody declared, as measured: it is
// given a chain, and chases the private name alone while the CNAME lives.
func TestAskStoryOfAChase(t *testing.T) {
	const public, private = "v1.vault.azure.net.", "v1.privatelink.vaultcore.azure.net."
	zones := azure(t)
	policy := Policy{Clients: declaredClients(t), Chains: NewChaseMemory(1, noon), Direct: DefaultDirect()}
	resolver, neighbour, stub := classAddresses[Other], netip.MustParseAddr("172.16.1.2"), classAddresses[Stub]
	steps := []struct {
		name   string
		at     time.Duration
		given  bool // the client has just been given the chain
		client netip.Addr
		qname  string
		action Action
		rule   Rule
	}{
		{name: "out of the blue, in the first minute", at: time.Second, client: resolver, qname: private, action: Audit, rule: Starting},
		{name: "out of the blue", at: 60 * time.Second, client: resolver, qname: private, action: Refuse, rule: DirectLookup},
		{name: "the public name", at: 61 * time.Second, client: resolver, qname: public, action: Allow, rule: NoRule},
		{name: "the chase at once", at: 61 * time.Second, given: true, client: resolver, qname: private, action: Allow, rule: Chase},
		{name: "the tail alone, after its 10 s", at: 72 * time.Second, client: resolver, qname: private, action: Allow, rule: Chase},
		{name: "another client meanwhile", at: 72 * time.Second, client: neighbour, qname: private, action: Refuse, rule: DirectLookup},
		{name: "a stub meanwhile", at: 72 * time.Second, client: stub, qname: private, action: Refuse, rule: DirectLookup},
		{name: "another name meanwhile", at: 72 * time.Second, client: resolver, qname: "v2.privatelink.vaultcore.azure.net.", action: Refuse, rule: DirectLookup},
		{name: "in the grace after the CNAME", at: 126*time.Second - 1, client: resolver, qname: private, action: Allow, rule: Chase},
		{name: "after it", at: 126 * time.Second, client: resolver, qname: private, action: Refuse, rule: DirectLookup},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			now := noon.Add(step.at)
			if step.given {
				policy.Chains.Remember(step.client, private, ttl, now)
			}
			got := policy.Ask(step.client, step.qname, dns.TypeA, zones.Match(step.qname), now)
			if got.Action != step.action || got.Rule != step.rule || got.Chase != (step.rule == Chase) {
				t.Errorf("Ask(%s, %q) = %+v, want action %s by rule %s", step.client, step.qname, got, step.action, step.rule)
			}
		})
	}
}

// A client that is not declared is not served where there is an allow list.
func TestAskOutsideAllowList(t *testing.T) {
	zones := azure(t)
	policy := Policy{Clients: declareAll(t, []declared{{"allow", "10.0.0.0/8"}, {"stub", "172.16.0.0/12"}}), Chains: settled(), Direct: DefaultDirect()}
	for client, want := range map[string]Decision{
		"10.0.0.1":        {Action: Allow, Rule: NoRule, Class: Other},
		"::ffff:10.0.0.1": {Action: Allow, Rule: NoRule, Class: Other},
		"172.16.0.1":      {Action: Allow, Rule: NoRule, Class: Stub},
		"192.0.2.1":       {Action: Refuse, Rule: ClientNotServed, Class: Denied},
		"fe80::1%eth0":    {Action: Refuse, Rule: ClientNotServed, Class: Denied},
	} {
		t.Run(client, func(t *testing.T) {
			if got := policy.Ask(netip.MustParseAddr(client), "www.example.org.", dns.TypeAAAA, zones.Match("www.example.org."), noon); got != want {
				t.Errorf("Ask() = %+v, want %+v", got, want)
			}
		})
	}
}

// Health probes are served whatever the lists of clients say.
func TestAskProbe(t *testing.T) {
	probe, other := netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.2.1")
	allowed, denied := []declared{{"allow", "10.0.0.0/8"}}, []declared{{"deny", "168.63.129.16/32"}, {"deny", "192.0.2.0/24"}}
	tests := []struct {
		name    string
		lines   []declared
		probe   netip.Addr
		client  netip.Addr
		refused bool
	}{
		{name: "outside the allow list", lines: allowed, probe: probe, client: probe},
		{name: "on the deny list", lines: denied, probe: probe, client: probe},
		{name: "IPv4-mapped", lines: denied, probe: probe, client: netip.AddrFrom16(probe.As16())},
		{name: "another client outside the allow list", lines: allowed, probe: probe, client: other, refused: true},
		{name: "another client on the deny list", lines: denied, probe: probe, client: other, refused: true},
		{name: "no probe", lines: allowed, client: probe, refused: true},
		{name: "no probe and a client without an address", lines: allowed, refused: true},
	}
	zones := azure(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			policy := Policy{Clients: declareAll(t, tc.lines), Probe: tc.probe, Chains: settled(), Direct: DefaultDirect()}
			for _, name := range []string{"www.example.org.", "db1.database.windows.net.", "."} {
				got := policy.Ask(tc.client, name, dns.TypeA, zones.Match(name), noon)
				if got.Action.Rejects() != tc.refused || (got.Rule == ClientNotServed) != tc.refused {
					t.Errorf("Ask(%v, %q) = %+v, want it refused: %v", tc.client, name, got, tc.refused)
				}
			}
		})
	}
}

// askCases are the ways through Ask that differ in cost.
func askCases() []struct{ name, qname, client string } {
	return []struct{ name, qname, client string }{
		{name: "not direct", qname: "www.example.org.", client: "172.16.1.1"},
		{name: "public name", qname: "db1.database.windows.net.", client: "10.20.0.7"},
		{name: "direct, refused", qname: "db1.privatelink.database.windows.net.", client: "172.16.1.1"},
		{name: "direct, chase", qname: "v1.privatelink.vaultcore.azure.net.", client: "172.16.1.1"},
		{name: "direct, legitimate", qname: "v1-asr-pod01-rcm1.eus.privatelink.siterecovery.windowsazure.com.", client: "172.16.1.1"},
		{name: "not served", qname: "www.example.org.", client: "192.0.2.1"},
	}
}

func askPolicy(t testing.TB) *Policy {
	t.Helper()
	policy := &Policy{Clients: declaredClients(t), Chains: settled(), Direct: DefaultDirect()}
	policy.Chains.Remember(classAddresses[Other], "v1.privatelink.vaultcore.azure.net.", ttl, noon)
	return policy
}

func TestAskDoesNotAllocate(t *testing.T) {
	zones, policy := azure(t), askPolicy(t)
	for _, tc := range askCases() {
		t.Run(tc.name, func(t *testing.T) {
			client, match := netip.MustParseAddr(tc.client), zones.Match(tc.qname)
			if got := testing.AllocsPerRun(100, func() { policy.Ask(client, tc.qname, dns.TypeA, match, noon) }); got != 0 {
				t.Errorf("Ask(%q) allocates %v times, want 0", tc.qname, got)
			}
		})
	}
}
