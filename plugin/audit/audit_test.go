package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

const (
	prefix  = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/"
	hub     = prefix + "rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
	spoke   = prefix + "rg-spoke/providers/Microsoft.Network/virtualNetworks/vnet-spoke"
	scopeID = prefix + "rg-mon/providers/microsoft.insights/privateLinkScopes/"
	storage = prefix + "rg-app/providers/Microsoft.Storage/storageAccounts/st1"
)

func azureCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	data, _ := zones.Lookup("azure")
	loaded, err := catalog.Load([]catalog.Source{{Path: "azure", Data: data}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// aZone is a zone with links to networks, NxDomainRedirect set, and records "owner address".
func aZone(group, name string, networks []string, records ...string) Zone {
	id := prefix + group + "/providers/Microsoft.Network/privateDnsZones/" + name
	z := Zone{ID: id, Name: name + "."}
	for _, network := range networks {
		z.Links = append(z.Links, Link{ID: id + "/virtualNetworkLinks/" + lastOf(network), Network: network, Redirect: true, State: "Completed"})
	}
	for _, record := range records {
		owner, address, _ := strings.Cut(record, " ")
		z.Records = append(z.Records, Record{ID: id + "/A/" + owner, Name: owner + "." + z.Name, Type: "A", Addresses: []netip.Addr{netip.MustParseAddr(address)}})
	}
	return z
}

// anEndpoint is one that serves a name at an address, without a zone group.
func anEndpoint(name, service, group, serves, address string) Endpoint {
	return Endpoint{
		ID: prefix + "rg-net/providers/Microsoft.Network/privateEndpoints/" + name, Service: service, Groups: []string{group}, State: "Approved",
		Names: []Name{{serves, []netip.Addr{netip.MustParseAddr(address)}}},
	}
}

// managing is an endpoint whose zone group maintains a record.
func managing(endpoint Endpoint, z Zone, record string) Endpoint {
	owner, address, _ := strings.Cut(record, " ")
	endpoint.Managed = append(endpoint.Managed, ManagedRecord{Name{owner + "." + z.Name, []netip.Addr{netip.MustParseAddr(address)}}, z.ID})
	return endpoint
}

// world is a healthy company: one SQL server with a private endpoint, its zone linked
// to the hub, where the server asks Azure-provided DNS.
func world(t *testing.T) (*Inventory, *Expectation) {
	t.Helper()
	sql := aZone("rg-dns", "privatelink.database.windows.net", []string{hub}, "db1 10.0.2.4")
	inventory := &Inventory{
		Zones:     []Zone{sql},
		Endpoints: []Endpoint{managing(anEndpoint("pe-db1", prefix+"rg-app/providers/Microsoft.Sql/servers/db1", "sqlServer", "db1.database.windows.net.", "10.0.2.4"), sql, "db1 10.0.2.4")},
		Resolvers: []Resolver{{ID: prefix + "rg-spoke/providers/Microsoft.Network/dnsResolvers/dnspr", Network: spoke, State: "Succeeded", Inbound: []Inbound{{ID: "in", State: "Succeeded", Addresses: []netip.Addr{netip.MustParseAddr("10.2.0.68")}}}}},
	}
	expectation := &Expectation{
		Catalog: azureCatalog(t), Networks: []string{strings.ToUpper(hub)}, // ARM does not mind the case
		Upstreams: []netip.Addr{azureDNS}, Listens: []netip.Addr{netip.MustParseAddr("10.1.0.4")},
		Route: func(string) Route { return Route{Groups: []string{"azure"}, Servers: []netip.Addr{azureDNS}} },
	}
	return inventory, expectation
}

func routed(route Route) func(string) Route { return func(string) Route { return route } }

// told are the findings that need a look, as "code subject".
func told(findings []Finding) []string {
	var words []string
	for _, each := range findings {
		if each.Severity == Fault || each.Severity == Warning {
			words = append(words, each.Code+" "+each.Subject)
		}
	}
	return words
}

func TestHealthyWorldIsWell(t *testing.T) {
	inventory, expectation := world(t)
	findings := Run(inventory, expectation)
	if got := told(findings); len(got) != 0 {
		t.Errorf("Run finds %q in a healthy world", got)
	}
	for _, each := range findings {
		if each.Where != "" || each.Next != "" && each.Severity == Fine || !slices.Contains(Checks(), each.Check) {
			t.Errorf("%+v: want neither resource nor next step where all is well, and a known check", each)
		}
	}
}

// injected are faults, one at a time, in the healthy world.
var injected = []struct {
	name   string
	inject func(*Inventory, *Expectation)
	// want are codes with subjects, and text what the first finding must say.
	want []string
	text string
}{
	{"a zone that is not linked to us", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.vaultcore.azure.net", []string{spoke}, "v1 10.0.2.5"))
		i.Endpoints = append(i.Endpoints, anEndpoint("pe-v1", "v1", "vault", "v1.vault.azure.net.", "10.0.2.5"))
	}, []string{"zone-not-linked privatelink.vaultcore.azure.net"}, "not linked to VNET-HUB: v1.privatelink.vaultcore.azure.net comes back public"},
	{"a zone without records need not be linked", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.vaultcore.azure.net", nil))
	}, nil, ""},
	{"a zone of the company's own need not be linked", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "corp.internal", []string{spoke}, "a 10.0.2.5"))
	}, nil, ""},
	{"an AKS zone that only the cluster sees", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("MC_aks", "privatelink.eastus.azmk8s.io", []string{spoke}, "aks1-abc 10.0.2.11"))
	}, []string{"aks-zone-not-linked privatelink.eastus.azmk8s.io"}, "no client of ours reaches the API server aks1-abc"},
	{"a link that is not done", func(i *Inventory, _ *Expectation) { i.Zones[0].Links[0].State = "InProgress" },
		[]string{"link-state privatelink.database.windows.net"}, "InProgress"},
	{"one of two sites without a link", func(_ *Inventory, e *Expectation) { e.Networks = append(e.Networks, spoke) },
		[]string{"network-without-links vnet-spoke", "site-not-linked privatelink.database.windows.net"}, "no zone"},
	{"a resolver that is asked makes its network ours", func(i *Inventory, e *Expectation) {
		e.Networks, e.Upstreams = nil, []netip.Addr{netip.MustParseAddr("10.2.0.68")}
		i.Zones[0].Links[0].Network = spoke
	}, nil, ""},
	{"a resolver that is asked, in a network without the link", func(_ *Inventory, e *Expectation) {
		e.Networks, e.Upstreams = nil, []netip.Addr{netip.MustParseAddr("10.2.0.68")}
	}, []string{"network-without-links vnet-spoke", "zone-not-linked privatelink.database.windows.net"}, ""},
	{"a resolver that failed", func(i *Inventory, e *Expectation) {
		e.Upstreams = append(e.Upstreams, netip.MustParseAddr("10.2.0.68"))
		i.Resolvers[0].State = "Failed"
		i.Zones[0].Links = append(i.Zones[0].Links, Link{Network: spoke, Redirect: true})
	}, []string{"resolver-state dnspr"}, "Failed"},
	{"no network is known", func(_ *Inventory, e *Expectation) { e.Networks = nil }, []string{"network-unknown "}, "no VNet was named"},
	{"a second zone of the name hides names", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-test", "privatelink.database.windows.net", []string{spoke}, "db1 10.0.2.4", "db2 10.0.2.4"))
	}, []string{"zone-hidden privatelink.database.windows.net"}, "we see the zone of resource group rg-dns, and 1 name is only in that of rg-test: db2.privatelink.database.windows.net"},
	{"a second zone of the name has other addresses", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-test", "privatelink.database.windows.net", []string{spoke}, "db1 10.9.2.4"))
		i.Endpoints = append(i.Endpoints, anEndpoint("pe-test", "db1", "sqlServer", "other.example.", "10.9.2.4"))
	}, []string{"zones-differ privatelink.database.windows.net"}, "is 10.0.2.4 in resource group rg-dns and 10.9.2.4 in rg-test"},
	{"two sites with a zone each", func(i *Inventory, e *Expectation) {
		e.Networks = append(e.Networks, spoke)
		i.Zones = append(i.Zones, aZone("rg-test", "privatelink.database.windows.net", []string{spoke}, "db2 10.0.2.4"))
	}, nil, ""},
	{"a link without NxDomainRedirect", func(i *Inventory, _ *Expectation) { i.Zones[0].Links[0].Redirect = false },
		[]string{"link-without-redirect privatelink.database.windows.net"}, "resources of other companies"},
	{"such a link where the route falls back", func(i *Inventory, e *Expectation) {
		i.Zones[0].Links[0].Redirect = false
		e.Route = routed(Route{Groups: []string{"azure"}, Missing: true})
	}, nil, ""},
	{"such a link where names must be private", func(i *Inventory, e *Expectation) {
		i.Zones[0].Links[0].Redirect = false
		e.Route = routed(Route{Groups: []string{"azure"}, Protected: true})
	}, nil, ""},
	{"a zone that no route leads to", func(_ *Inventory, e *Expectation) { e.Route = routed(Route{}) },
		[]string{"zone-not-routed privatelink.database.windows.net"}, "they are refused"},
	{"a record of an endpoint that is gone", func(i *Inventory, _ *Expectation) {
		i.Zones[0].Records = append(i.Zones[0].Records, aZone("rg-dns", "privatelink.database.windows.net", nil, "old 10.0.2.99").Records...)
	}, []string{"record-without-endpoint privatelink.database.windows.net"}, "old.privatelink.database.windows.net 10.0.2.99"},
	{"an endpoint whose record is gone", func(i *Inventory, _ *Expectation) { i.Zones[0].Records = nil },
		[]string{"endpoint-without-record pe-db1"}, "no zone has the record of db1.privatelink.database.windows.net: its DNS zone group has it at 10.0.2.4"},
	{"an endpoint that never had a record", func(i *Inventory, _ *Expectation) {
		i.Endpoints = append(i.Endpoints, anEndpoint("pe-v1", "v1", "vault", "v1.vault.azure.net.", "10.0.2.5"))
	}, []string{"endpoint-without-record pe-v1"}, "no zone has the record of v1.vault.azure.net: the endpoint has it at 10.0.2.5"},
	{"an endpoint of somebody's own service needs none", func(i *Inventory, _ *Expectation) {
		i.Endpoints = append(i.Endpoints, anEndpoint("pe-own", "own", "", "api.partner.example.", "10.0.2.5"))
	}, nil, ""},
	{"a record with another endpoint's address", func(i *Inventory, _ *Expectation) {
		i.Endpoints[0].Managed[0].Addresses = []netip.Addr{netip.MustParseAddr("10.0.2.7")}
	}, []string{"record-with-wrong-address pe-db1"}, "the record of db1.privatelink.database.windows.net is 10.0.2.4: its DNS zone group has it at 10.0.2.7"},
	{"an endpoint that was dropped", func(i *Inventory, _ *Expectation) { i.Endpoints[0].State = "Disconnected" },
		[]string{"endpoint-not-approved pe-db1"}, "Disconnected"},
	{"two endpoints for one record", func(i *Inventory, _ *Expectation) {
		i.Endpoints = append(i.Endpoints, i.Endpoints[0])
		i.Endpoints[1].ID = i.Endpoints[0].ID + "-west"
	}, []string{"record-shared pe-db1-west"}, "same record as pe-db1"},
	{"a namespace in use without a zone", func(_ *Inventory, e *Expectation) {
		e.LogRead, e.InUse = true, []*catalog.Namespace{e.Catalog.Match("a.vault.azure.net.").Namespace, e.Catalog.Match("a.database.windows.net.").Namespace}
	}, []string{"in-use-without-zone "}, "every answer is public: vault.azure.net"},
	{"one that must be private", func(_ *Inventory, e *Expectation) {
		e.LogRead, e.InUse = true, []*catalog.Namespace{e.Catalog.Match("a.vault.azure.net.").Namespace}
		e.Route = routed(Route{Groups: []string{"azure"}, Protected: true})
	}, []string{"protected-without-zone vault.azure.net"}, "withheld"},
	{"blob without dfs", func(i *Inventory, _ *Expectation) { injectStorage(i, "blob", "blob.core.windows.net") }, []string{"blob-without-dfs st1"}, "none for dfs"},
	{"blob without dfs where nobody asks for dfs", func(i *Inventory, e *Expectation) {
		injectStorage(i, "blob", "blob.core.windows.net")
		e.LogRead = true
	}, nil, ""},
	{"dfs without blob", func(i *Inventory, _ *Expectation) { injectStorage(i, "dfs", "dfs.core.windows.net") }, []string{"dfs-without-blob st1"}, "none for blob"},
	{"a registry without its data name", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.azurecr.io", []string{hub}, "r1 10.0.2.4", "r2 10.0.2.4", "r2.eastus.data 10.0.2.4"))
	}, []string{"acr-without-data privatelink.azurecr.io"}, "docker pull fails after it has logged in: r1.privatelink.azurecr.io"},
	{"a data name without its registry", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.azurecr.io", []string{hub}, "r2.eastus.data 10.0.2.4"))
	}, []string{"acr-without-login privatelink.azurecr.io"}, "r2.eastus.data"},
	{"Databricks without pl-auth", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.azuredatabricks.net", []string{hub}, "adb-1.2 10.0.2.4"))
	}, []string{"databricks-without-pl-auth privatelink.azuredatabricks.net"}, "signing in"},
	{"Databricks with it", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.azuredatabricks.net", []string{hub}, "adb-1.2 10.0.2.4", "eastus.pl-auth 10.0.2.4"))
	}, nil, ""},
	{"an app without scm", func(i *Inventory, _ *Expectation) {
		i.Zones = append(i.Zones, aZone("rg-dns", "privatelink.azurewebsites.net", []string{hub}, "app1 10.0.2.4", "app2 10.0.2.4", "app2.scm 10.0.2.4"))
	}, []string{"app-without-scm privatelink.azurewebsites.net"}, "app1.privatelink"},
	{"a scope that is open", func(i *Inventory, _ *Expectation) { injectScope(i, "one", "Open", "Open") }, nil, ""},
	{"a scope that catches all", func(i *Inventory, _ *Expectation) { injectScope(i, "one", "Open", "PrivateOnly") },
		[]string{"monitor-scope-catches-all one"}, "with ingestion PrivateOnly and queries Open"},
	{"a scope that could not be read", func(i *Inventory, _ *Expectation) { injectScope(i, "one", "", "") }, []string{"monitor-scope-unknown one"}, ""},
	{"two scopes", func(i *Inventory, _ *Expectation) {
		injectScope(i, "one", "Open", "Open")
		injectScope(i, "two", "Open", "Open")
	}, []string{"monitor-scopes-compete two"}, "2 scopes behind one DNS"},
	{"a scope without all its zones", func(i *Inventory, _ *Expectation) {
		injectScope(i, "one", "Open", "Open")
		i.Zones = slices.DeleteFunc(i.Zones, func(z Zone) bool { return z.Name == "privatelink.ods.opinsights.azure.com." })
	}, []string{"monitor-zones-incomplete one"}, "privatelink.ods.opinsights.azure.com"},
	{"a ruleset that asks the resolver of its own network", func(i *Inventory, _ *Expectation) { injectRule(i, spoke, "10.2.0.68") },
		[]string{"ruleset-loop rs"}, "a loop"},
	{"a ruleset that asks us, who ask in its network", func(i *Inventory, _ *Expectation) { injectRule(i, hub, "10.1.0.4") },
		[]string{"ruleset-loop rs"}, "asks us for database.windows.net"},
	{"a ruleset that asks us, who ask elsewhere", func(i *Inventory, e *Expectation) {
		injectRule(i, hub, "10.1.0.4")
		e.Route = routed(Route{Groups: []string{"corp"}, Servers: []netip.Addr{netip.MustParseAddr("10.30.0.4")}})
	}, nil, ""},
}

func injectStorage(i *Inventory, group, suffix string) {
	z := aZone("rg-dns", "privatelink."+suffix, []string{hub}, "st1 10.0.2.6")
	i.Zones = append(i.Zones, z)
	i.Endpoints = append(i.Endpoints, managing(anEndpoint("pe-st1", storage, group, "st1."+suffix+".", "10.0.2.6"), z, "st1 10.0.2.6"))
}

// injectScope adds a private link scope with all zones that it needs.
func injectScope(i *Inventory, name, query, ingestion string) {
	if len(i.Scopes) == 0 {
		for _, z := range []string{"monitor.azure.com", "oms.opinsights.azure.com", "ods.opinsights.azure.com", "agentsvc.azure-automation.net", "blob.core.windows.net"} {
			i.Zones = append(i.Zones, aZone("rg-dns", "privatelink."+z, []string{hub}))
		}
	}
	i.Endpoints = append(i.Endpoints, Endpoint{ID: "pe-" + name, Service: scopeID + name, Groups: []string{"azuremonitor"}, State: "Approved"})
	i.Scopes = append(i.Scopes, MonitorScope{ID: strings.ToLower(scopeID) + name, Query: query, Ingestion: ingestion})
}

func injectRule(i *Inventory, network, target string) {
	i.Rulesets = []Ruleset{{ID: prefix + "rg/providers/Microsoft.Network/dnsForwardingRulesets/rs", Networks: []string{network}, Rules: []Rule{
		{ID: "rule", Domain: "database.windows.net.", Targets: []netip.Addr{netip.MustParseAddr(target)}},
	}}}
}

func TestInjectedFaultsAreFound(t *testing.T) {
	for _, tc := range injected {
		t.Run(tc.name, func(t *testing.T) {
			inventory, expectation := world(t)
			tc.inject(inventory, expectation)
			findings := Run(inventory, expectation)
			if got := told(findings); !slices.Equal(got, tc.want) {
				t.Errorf("Run finds %q, want %q", got, tc.want)
			}
			said := false
			for _, each := range findings {
				needsLook := each.Severity == Fault || each.Severity == Warning
				if needsLook && each.Next == "" || needsLook && each.Subject != "" && each.Where == "" && each.Code != "protected-without-zone" {
					t.Errorf("%+v has no next step, or no resource", each)
				}
				said = said || needsLook && strings.Contains(each.Text, tc.text)
			}
			if tc.text != "" && !said {
				t.Errorf("Run says %+v, want %q in it", findings, tc.text)
			}
		})
	}
}

// TestOrderDoesNotMatter: Azure lists in any order.
func TestOrderDoesNotMatter(t *testing.T) {
	inventory, expectation := world(t)
	for _, tc := range injected[:8] {
		tc.inject(inventory, &Expectation{Catalog: expectation.Catalog})
	}
	first := fmt.Sprint(Run(inventory, expectation))
	slices.Reverse(inventory.Zones)
	for index := range inventory.Zones {
		slices.Reverse(inventory.Zones[index].Records)
	}
	if again := fmt.Sprint(Run(inventory, expectation)); again != first {
		t.Errorf("Run finds\n%s\nand in another order\n%s", first, again)
	}
}
