package catalog_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// sample has every kind of entry. The names are Azure's, so that the cases
// read as what they mean.
const sample = `
schema: 1
cloud: sample
services:
  - service: Azure Backup
    private_zones: ["privatelink.{regionCode}.backup.windowsazure.com", privatelink.blob.core.windows.net]
    public_suffixes: ["{regionCode}.backup.windowsazure.com", blob.core.windows.net]
  - service: Storage account
    category: storage
    resource_types: [Microsoft.Storage/storageAccounts]
    group_ids: [blob, blob_secondary]
    private_zones: [privatelink.blob.core.windows.net]
    public_suffixes: [Blob.Core.Windows.NET.]
  - service: Azure Elastic SAN
    private_zones: [privatelink.blob.core.windows.net]
    public_suffixes: [blob.storage.azure.net]
  - service: Azure SQL Database
    private_zones: [privatelink.database.windows.net]
    public_suffixes: [database.windows.net]
  - service: Azure SQL Managed Instance
    private_zones: ["privatelink.{dnsPrefix}.database.windows.net"]
    public_suffixes: ["{dnsPrefix}.database.windows.net"]
  - service: Azure Key Vault
    private_zones: [privatelink.vaultcore.azure.net]
    public_suffixes: [vault.azure.net, vaultcore.azure.net]
  - service: Azure Batch
    private_zones: [privatelink.batch.azure.com]
    public_suffixes: ["{regionName}.batch.azure.com"]
  - service: Azure Batch
    private_zones: [privatelink.batch.azure.com]
    public_suffixes: ["{regionName}.service.batch.azure.com"]
  - service: Azure Static Web Apps
    private_zones: [privatelink.azurestaticapps.net, "privatelink.{partitionId}.azurestaticapps.net"]
    public_suffixes: [azurestaticapps.net, "{partitionId}.azurestaticapps.net"]
  - service: Azure Container Registry
    private_zones: [privatelink.azurecr.io, "{regionName}.data.privatelink.azurecr.io"]
    public_suffixes: [azurecr.io, "{regionName}.data.azurecr.io"]
  - service: Azure Kubernetes Service
    private_zones: ["privatelink.{regionName}.azmk8s.io", "{subzone}.privatelink.{regionName}.azmk8s.io"]
    public_suffixes: ["{regionName}.azmk8s.io"]
  - service: Azure Virtual Desktop
    private_zones: [privatelink-global.wvd.microsoft.com]
    public_suffixes: [wvd.microsoft.com]
  - service: Azure Cache for Redis Enterprise
    private_zones: [privatelink.redisenterprise.cache.azure.net]
    public_suffixes: ["{region}.redisenterprise.cache.azure.net", redisenterprise.cache.azure.net]
  - service: Azure Site Recovery
    private_zones: [privatelink.siterecovery.windowsazure.com]
    public_suffixes: ["{regionCode}.siterecovery.windowsazure.com"]
  - service: Azure Automation
    private_zones: [privatelink.azure-automation.net]
    public_suffixes: ["{regionCode}.azure-automation.net"]
  - service: Azure Monitor
    private_zones: [privatelink.agentsvc.azure-automation.net]
    public_suffixes: [agentsvc.azure-automation.net]
  - service: Azure Resource Manager
    private_zones: [privatelink.azure.com]
    public_suffixes: [azure.com]
    include: resource-manager
    note: Everything below azure.com.
zones:
  - zone: privatelink.vaultcore.azure.net
    public_suffix: vault.azure.net
  - zone: privatelink.redisenterprise.cache.azure.net
    public_suffix: "{region}.redisenterprise.cache.azure.net"
  - zone: "privatelink.{regionName}.azmk8s.io"
    direct: legitimate
    underivable: ["*"]
    note: API servers.
  - zone: privatelink.siterecovery.windowsazure.com
    direct_names: ["*-asr-pod01-*"]
  - zone: privatelink.azure-automation.net
    direct_names: ["*.jrds"]
  - zone: privatelink.blob.core.windows.net
    underivable: ["md-*", "ES-*"]
`

func load(t testing.TB, data string, include ...string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load([]catalog.Source{{Path: "sample.yaml", Data: []byte(data)}}, include)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// found puts a match into words: namespace, zone, labels.
type found struct {
	namespace, zone string
	labels          int
}

func describe(m catalog.Match) found {
	f := found{labels: m.Labels}
	if m.Namespace != nil {
		f.namespace = m.Namespace.Suffix
	}
	if m.Zone != nil {
		f.zone = m.Zone.Name
	}
	return f
}

func TestMatch(t *testing.T) {
	c := load(t, sample)
	for _, tc := range []struct {
		name, in string
		want     found
	}{
		{"public name", "db1.database.windows.net.", found{"database.windows.net", "", 3}},
		{"public name, deeper", "a.db1.database.windows.net.", found{"{dnsPrefix}.database.windows.net", "", 4}},
		{"managed instance", "mi1.0a1b2c3d4e5f.database.windows.net.", found{"{dnsPrefix}.database.windows.net", "", 4}},
		{"no such prefix", "mi1.no-prefix.database.windows.net.", found{"database.windows.net", "", 3}},
		{"the suffix itself", "database.windows.net.", found{"database.windows.net", "", 3}},
		{"private name", "db1.privatelink.database.windows.net.", found{"database.windows.net", "privatelink.database.windows.net", 4}},
		{"private name, deeper", "a.b.privatelink.database.windows.net.", found{"database.windows.net", "privatelink.database.windows.net", 4}},
		{"the zone itself", "privatelink.database.windows.net.", found{"database.windows.net", "privatelink.database.windows.net", 4}},
		{"zone of a prefix", "mi1.privatelink.0a1b.database.windows.net.", found{"{dnsPrefix}.database.windows.net", "privatelink.{dnsPrefix}.database.windows.net", 5}},
		{"that zone itself", "privatelink.0a1b.database.windows.net.", found{"{dnsPrefix}.database.windows.net", "privatelink.{dnsPrefix}.database.windows.net", 5}},
		{"no placeholder is privatelink", "a.privatelink.privatelink.database.windows.net.", found{"database.windows.net", "privatelink.database.windows.net", 4}},
		{"lookalike", "db1.notprivatelink.database.windows.net.", found{"{dnsPrefix}.database.windows.net", "", 4}},
		{"lookalike as a name", "notprivatelink.database.windows.net.", found{"database.windows.net", "", 3}},
		{"lookalike by an escaped dot", `x\.privatelink.database.windows.net.`, found{"database.windows.net", "", 3}},
		{"escaped dot below", `a\.b.privatelink.database.windows.net.`, found{"database.windows.net", "privatelink.database.windows.net", 4}},
		{"escaped backslash below", `a\\.privatelink.database.windows.net.`, found{"database.windows.net", "privatelink.database.windows.net", 4}},
		{"escape in a placeholder", `mi1.a\@b.database.windows.net.`, found{"database.windows.net", "", 3}},
		{"global", "rdweb.privatelink-global.wvd.microsoft.com.", found{"wvd.microsoft.com", "privatelink-global.wvd.microsoft.com", 4}},
		{"global lookalike", "xprivatelink-global.wvd.microsoft.com.", found{"wvd.microsoft.com", "", 3}},
		{"zone the data lacks", "x.privatelink.wvd.microsoft.com.", found{"wvd.microsoft.com", "", 3}},
		{"label deeper than second", "r.eastus.data.privatelink.azurecr.io.", found{"{regionName}.data.azurecr.io", "{regionName}.data.privatelink.azurecr.io", 5}},
		{"not below the deeper zone", "eastus.data.privatelink.azurecr.io.", found{"azurecr.io", "privatelink.azurecr.io", 3}},
		{"ordinary registry", "r.privatelink.azurecr.io.", found{"azurecr.io", "privatelink.azurecr.io", 3}},
		{"data name", "r.eastus.data.azurecr.io.", found{"{regionName}.data.azurecr.io", "", 4}},
		{"partition", "app.2.azurestaticapps.net.", found{"{partitionId}.azurestaticapps.net", "", 3}},
		{"no partition", "app.westus.azurestaticapps.net.", found{"azurestaticapps.net", "", 2}},
		{"zone of a partition", "app.privatelink.2.azurestaticapps.net.", found{"{partitionId}.azurestaticapps.net", "privatelink.{partitionId}.azurestaticapps.net", 4}},
		{"shared zone has its natural namespace", "st1.privatelink.blob.core.windows.net.", found{"blob.core.windows.net", "privatelink.blob.core.windows.net", 5}},
		{"literal beats placeholder", "a.agentsvc.azure-automation.net.", found{"agentsvc.azure-automation.net", "", 3}},
		{"placeholder beside literal", "a.eus.azure-automation.net.", found{"{regionCode}.azure-automation.net", "", 3}},
		{"literal in the middle", "a.eastus.service.batch.azure.com.", found{"{regionName}.service.batch.azure.com", "", 5}},
		{"placeholder below literal", "a.eastus.batch.azure.com.", found{"{regionName}.batch.azure.com", "", 4}},
		{"cluster", "c1.0a1b.privatelink.eastus.azmk8s.io.", found{"{regionName}.azmk8s.io", "{subzone}.privatelink.{regionName}.azmk8s.io", 5}},
		{"cluster of one label", "c1.privatelink.eastus.azmk8s.io.", found{"{regionName}.azmk8s.io", "privatelink.{regionName}.azmk8s.io", 4}},
		{"anchor of a pattern is no namespace", "azmk8s.io.", found{}},
		{"region itself is no name below it", "eastus.azmk8s.io.", found{}},
		{"left out", "management.azure.com.", found{}},
		{"elsewhere", "www.example.org.", found{}},
		{"root", ".", found{}},
		{"empty", "", found{}},
		{"not fully qualified", "db1.database.windows.net", found{}},
		{"upper case", "DB1.DATABASE.WINDOWS.NET.", found{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := describe(c.Match(tc.in)); got != tc.want {
				t.Errorf("Match(%q) = %+v, want %+v", tc.in, got, tc.want)
			}
		})
	}
}

func TestMatchIncluded(t *testing.T) {
	c := load(t, sample, "resource-manager")
	for _, tc := range []struct {
		name, in string
		want     found
	}{
		{"included", "management.azure.com.", found{"azure.com", "", 2}},
		{"included zone", "management.privatelink.azure.com.", found{"azure.com", "privatelink.azure.com", 3}},
		{"more labels win", "a.eastus.batch.azure.com.", found{"{regionName}.batch.azure.com", "", 4}},
		{"zone with more labels wins", "a.privatelink.batch.azure.com.", found{"{regionName}.batch.azure.com", "privatelink.batch.azure.com", 4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := describe(c.Match(tc.in)); got != tc.want {
				t.Errorf("Match(%q) = %+v, want %+v", tc.in, got, tc.want)
			}
		})
	}
}

// TestMatchEqualLength has patterns of one length that a name can match both
// of: from the right, a literal label wins.
func TestMatchEqualLength(t *testing.T) {
	c := load(t, `
schema: 1
cloud: sample
services:
  - service: Sample
    private_zones: [privatelink.example.org]
    public_suffixes: ["a.{region}.example.org", "{region}.b.example.org", "{region}.{regionCode}.example.org"]
`)
	for _, tc := range []struct{ name, in, want string }{
		{"both of two", "x.a.b.example.org.", "{region}.b.example.org"},
		{"the left one", "x.a.c.example.org.", "a.{region}.example.org"},
		{"neither", "x.d.c.example.org.", "{region}.{regionCode}.example.org"},
		{"not below", "a.b.example.org.", "a.{region}.example.org"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := describe(c.Match(tc.in)).namespace; got != tc.want {
				t.Errorf("Match(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestZoneName(t *testing.T) {
	c := load(t, sample)
	for _, tc := range []struct{ name, in, want string }{
		{"literal", "db1.privatelink.database.windows.net.", "privatelink.database.windows.net."},
		{"placeholder", "a.mi1.privatelink.0a1b.database.windows.net.", "privatelink.0a1b.database.windows.net."},
		{"two placeholders", "c1.g1.privatelink.eastus.azmk8s.io.", "g1.privatelink.eastus.azmk8s.io."},
		{"the zone itself", "privatelink.database.windows.net.", "privatelink.database.windows.net."},
		{"escaped dot", `a\.b.privatelink.database.windows.net.`, "privatelink.database.windows.net."},
		{"public name", "db1.database.windows.net.", ""},
		{"not catalogued", "www.example.org.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := c.Match(tc.in).ZoneName(tc.in); got != tc.want {
				t.Errorf("ZoneName(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
	if got := c.Match("db1.privatelink.database.windows.net.").ZoneName("net."); got != "" {
		t.Errorf("ZoneName of another name = %q, want nothing", got)
	}
}

func TestMatchAllocates(t *testing.T) {
	c := load(t, sample)
	for _, name := range []string{
		"db1.database.windows.net.", "mi1.privatelink.0a1b.database.windows.net.", "www.example.org.",
		`a\.b.privatelink.database.windows.net.`,
	} {
		if got := testing.AllocsPerRun(100, func() { c.Match(name) }); got != 0 {
			t.Errorf("Match(%q) allocates %v times, want 0", name, got)
		}
	}
}

func TestNamespaces(t *testing.T) {
	c := load(t, sample)
	var suffixes []string
	for i, namespace := range c.Namespaces() {
		suffixes = append(suffixes, namespace.Suffix)
		if namespace.Index != i {
			t.Errorf("namespace %q at %d has Index %d", namespace.Suffix, i, namespace.Index)
		}
		if len(namespace.Zones) == 0 || len(namespace.Services) == 0 {
			t.Errorf("namespace %q has zones %v and services %v, want some", namespace.Suffix, namespace.Zones, namespace.Services)
		}
	}
	if !slices.IsSorted(suffixes) || len(slices.Compact(suffixes)) != len(c.Namespaces()) {
		t.Errorf("Namespaces() = %q, want them sorted, each once", suffixes)
	}
	for _, tc := range []struct {
		name, suffix, anchor string
		services, zones      []string
	}{
		{"literal", "database.windows.net", "database.windows.net", []string{"Azure SQL Database"}, []string{"privatelink.database.windows.net"}},
		{"placeholder", "{regionName}.azmk8s.io", "azmk8s.io", []string{"Azure Kubernetes Service"}, []string{"privatelink.{regionName}.azmk8s.io", "{subzone}.privatelink.{regionName}.azmk8s.io"}},
		{"case and final dot", "blob.core.windows.net", "blob.core.windows.net", []string{"Azure Backup", "Storage account"}, []string{"privatelink.blob.core.windows.net"}},
		{"no zone of its own", "blob.storage.azure.net", "blob.storage.azure.net", []string{"Azure Elastic SAN"}, []string{"privatelink.blob.core.windows.net"}},
		{"renamed zone", "vault.azure.net", "vault.azure.net", []string{"Azure Key Vault"}, []string{"privatelink.vaultcore.azure.net"}},
		{"the other name of a renamed zone", "vaultcore.azure.net", "vaultcore.azure.net", []string{"Azure Key Vault"}, []string{"privatelink.vaultcore.azure.net"}},
		{"two rows of one service", "{regionName}.service.batch.azure.com", "service.batch.azure.com", []string{"Azure Batch"}, []string{"privatelink.batch.azure.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := slices.Index(suffixes, tc.suffix)
			if i < 0 {
				t.Fatalf("Namespaces() = %q, want %q among them", suffixes, tc.suffix)
			}
			got := c.Namespaces()[i]
			if got.Anchor != tc.anchor {
				t.Errorf("Anchor = %q, want %q", got.Anchor, tc.anchor)
			}
			if !slices.Equal(got.Services, tc.services) {
				t.Errorf("Services = %q, want %q", got.Services, tc.services)
			}
			var zones []string
			for _, zone := range got.Zones {
				zones = append(zones, zone.Name)
			}
			if !slices.Equal(zones, tc.zones) {
				t.Errorf("Zones = %q, want %q", zones, tc.zones)
			}
		})
	}
}

func TestZones(t *testing.T) {
	c := load(t, sample)
	sorted := slices.IsSortedFunc(c.Zones(), func(a, z *catalog.Zone) int {
		if a.Name < z.Name {
			return -1
		}
		return 1
	})
	if !sorted {
		t.Errorf("Zones() is not sorted by name, each once")
	}
	for _, zone := range c.Zones() {
		if zone.Namespace == nil || len(zone.Services) == 0 {
			t.Errorf("zone %q has namespace %v and services %v, want some", zone.Name, zone.Namespace, zone.Services)
		}
	}
}

func TestForwards(t *testing.T) {
	got := load(t, sample).Forwards()
	want := []string{
		"agentsvc.azure-automation.net", "azmk8s.io", "azure-automation.net", "azurecr.io", "azurestaticapps.net",
		"backup.windowsazure.com", "batch.azure.com", "blob.core.windows.net", "blob.storage.azure.net",
		"data.azurecr.io", "database.windows.net", "redisenterprise.cache.azure.net", "service.batch.azure.com",
		"siterecovery.windowsazure.com", "vault.azure.net", "vaultcore.azure.net", "wvd.microsoft.com",
	}
	if !slices.Equal(got, want) {
		t.Errorf("Forwards() = %q, want %q", got, want)
	}
}

// TestForwardsParents covers Elastic SAN alone, whose public suffix is not
// above its zone: a server that follows the CNAME needs the zone's parent.
func TestForwardsParents(t *testing.T) {
	got := load(t, `
schema: 1
cloud: sample
services:
  - service: Azure Elastic SAN
    private_zones: [privatelink.blob.core.windows.net, "{subzone}.privatelink.{regionName}.example.org"]
    public_suffixes: [blob.storage.azure.net]
`).Forwards()
	if want := []string{"blob.core.windows.net", "blob.storage.azure.net", "example.org"}; !slices.Equal(got, want) {
		t.Errorf("Forwards() = %q, want %q", got, want)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	c := load(t, sample)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, zone := range c.Zones() {
				name := "a.eus." + fill(zone.Name)
				if match := c.Match(name); match.Zone != nil {
					match.Zone.PublicName(name)
					match.Zone.DirectLegitimate(name)
				}
			}
			c.Forwards()
		})
	}
	group.Wait()
}
