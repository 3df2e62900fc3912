package zones_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// facts is testdata/azure-zones.yaml: Microsoft's tables restated as data,
// independently of the catalogs.
type facts struct {
	Counts  map[string]int `yaml:"counts_without_duplicates"`
	Entries []factRow      `yaml:"entries"`
	Direct  []struct {
		Pattern    string `yaml:"pattern"`
		Confidence string `yaml:"confidence"`
	} `yaml:"direct_privatelink_lookups_legitimate"`
	Observed []struct {
		Cloud  string `yaml:"cloud"`
		Zone   string `yaml:"zone"`
		Status string `yaml:"status"`
	} `yaml:"extra_observed"`
	Zones      map[string][]string `yaml:"derived_private_zones"`
	Forwarders map[string][]string `yaml:"derived_public_forwarders"`
}

// factRow is one row of the published tables.
type factRow struct {
	ID            string   `yaml:"id"`
	Cloud         string   `yaml:"cloud"`
	Service       string   `yaml:"service"`
	Category      string   `yaml:"category"`
	ResourceTypes []string `yaml:"resource_types"`
	GroupIDs      []string `yaml:"group_ids"`
	Zones         []string `yaml:"private_zones"`
	Forwarders    []string `yaml:"public_forwarders"`
	Relations     []string `yaml:"zone_to_forwarder"`
	DuplicateOf   string   `yaml:"duplicate_of"`
}

// file is a shipped catalog as written.
type file struct {
	Services []fileRow `yaml:"services"`
}

// fileRow is one entry under services.
type fileRow struct {
	Service        string   `yaml:"service"`
	Category       string   `yaml:"category"`
	ResourceTypes  []string `yaml:"resource_types"`
	GroupIDs       []string `yaml:"group_ids"`
	PrivateZones   []string `yaml:"private_zones"`
	PublicSuffixes []string `yaml:"public_suffixes"`
	Note           string   `yaml:"note"`
}

// clouds are the facts' names of the catalogs.
var clouds = map[string]string{"azure": "commercial", "azure-usgov": "usgov", "azure-china": "china"}

// anomaly is a published forwarder that is catalogued by other names.
type anomaly struct {
	catalog, forwarder string
	instead            []string
	reason             string
}

var anomalies = []anomaly{
	{"azure", "privatelink.azure-devices.net", []string{"azure-devices.net"}, "IoT Central: a private zone published as a forwarder"},
	{"azure", "privatelink.servicebus.windows.net", []string{"servicebus.windows.net"}, "IoT Central: a private zone published as a forwarder"},
	{"azure", "privatelink.azure-devices-provisioning.net", []string{"azure-devices-provisioning.net"}, "IoT Central: a private zone published as a forwarder"},
	{"azure", "{cachename}.{region}.redisenterprise.cache.azure.net", []string{"{region}.redisenterprise.cache.azure.net", "redisenterprise.cache.azure.net"}, "the name of one cache, not a suffix"},
	{"azure-usgov", "{workspaceName}-ondemand.sql.azuresynapse.usgovcloudapi.net", []string{"sql.azuresynapse.usgovcloudapi.net"}, "the name of one workspace, not a suffix"},
	{"azure-usgov", "purview.azure.com", []string{"purview.azure.us"}, "a name of the public cloud"},
}

// addition is a name that is catalogued without being published.
type addition struct{ catalog, zone, suffix, reason string }

var additions = []addition{
	{"azure", "privatelink.tip1.powerquery.microsoft.com", "tip1.powerquery.microsoft.com", "earlier versions of the page; templates still make it"},
	{"azure", "privatelink.tds.pbidedicated.windows.net", "tds.pbidedicated.windows.net", "third party; to see the hop, never to refuse"},
	{"azure", "privatelink.dfs.fabric.microsoft.com", "dfs.fabric.microsoft.com", "third party; to see the hop, never to refuse"},
	{"azure-usgov", "privatelink.openai.azure.us", "openai.azure.us", "widely used"},
	{"azure-usgov", "privatelink.directline.botframework.azure.us", "directline.botframework.azure.us", "third party; to see the hop, never to refuse"},
	{"azure-usgov", "privatelink.{regionName}.cx.aks.containerservice.azure.us", "{regionName}.cx.aks.containerservice.azure.us", "AKS: third-party templates, suffix documented"},
	{"azure-usgov", "privatelink.azurecontainerapps.us", "azurecontainerapps.us", "third party; to see the hop, never to refuse"},
	{"azure-china", "", "vault.azure.cn", "Key Vault's own documentation for Azure China"},
	{"azure-china", "", "signalr.azure.cn", "the endpoint list of Azure China"},
	{"azure-china", "privatelink.cognitiveservices.azure.cn", "cognitiveservices.azure.cn", "third party; to see the hop, never to refuse"},
	{"azure-china", "privatelink.databricks.azure.cn", "databricks.azure.cn", "third party; to see the hop, never to refuse"},
	{"azure-china", "privatelink.{regionName}.cx.prod.service.azk8s.cn", "{regionName}.cx.prod.service.azk8s.cn", "AKS: third-party templates, suffix documented"},
	{"azure-china", "privatelink.eventgrid.azure.cn", "eventgrid.azure.cn", "earlier versions of the page; Microsoft's landing zone still makes it"},
	{"azure-china", "privatelink.search.azure.cn", "search.azure.cn", "third party; to see the hop, never to refuse"},
}

// further are published suffixes that rows list without the page doing so.
var further = map[string][]string{
	"commercial-storage-storageaccounts-blob-blob-secondary": {"blob.storage.azure.net"},
	"commercial-compute-diskaccesses-disks":                  {"blob.storage.azure.net"},
}

func readFacts(t *testing.T) facts {
	t.Helper()
	data, err := os.ReadFile("testdata/azure-zones.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f facts
	if err := yaml.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func readFile(t *testing.T, name string) file {
	t.Helper()
	data, _ := zones.Lookup(name)
	var f file
	if err := yaml.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// catalogued are the names of zones and suffixes that a shipped catalog loads.
func catalogued(t *testing.T, name string) (zoneNames, suffixes []string) {
	t.Helper()
	c := load(t, name)
	for _, zone := range c.Zones() {
		zoneNames = append(zoneNames, zone.Name)
	}
	for _, namespace := range c.Namespaces() {
		suffixes = append(suffixes, namespace.Suffix)
	}
	return zoneNames, suffixes
}

// TestFactsCatalogued wants every published name in the catalogs, save the
// anomalies.
func TestFactsCatalogued(t *testing.T) {
	f := readFacts(t)
	suffixesOf := make(map[string][]string)
	for _, name := range zones.Names() {
		t.Run(name, func(t *testing.T) {
			zoneNames, suffixes := catalogued(t, name)
			suffixesOf[name] = suffixes
			for _, zone := range f.Zones[clouds[name]] {
				if !slices.Contains(zoneNames, zone) {
					t.Errorf("zone %q is published and not catalogued", zone)
				}
			}
			for _, forwarder := range f.Forwarders[clouds[name]] {
				i := slices.IndexFunc(anomalies, func(a anomaly) bool { return a.catalog == name && a.forwarder == forwarder })
				if has := slices.Contains(suffixes, forwarder); has == (i >= 0) {
					t.Errorf("forwarder %q is published; catalogued: %v, anomaly: %v", forwarder, has, i >= 0)
				}
			}
		})
	}
	for _, a := range anomalies {
		if !slices.Contains(f.Forwarders[clouds[a.catalog]], a.forwarder) {
			t.Errorf("anomaly %q of %s is not published", a.forwarder, a.catalog)
		}
		for _, instead := range a.instead {
			if !slices.Contains(suffixesOf[a.catalog], instead) {
				t.Errorf("anomaly %q: %q is not catalogued", a.forwarder, instead)
			}
		}
	}
}

// TestNothingElse wants nothing in the catalogs that is neither published nor
// among the additions.
func TestNothingElse(t *testing.T) {
	f := readFacts(t)
	for _, name := range zones.Names() {
		t.Run(name, func(t *testing.T) {
			zoneNames, suffixes := catalogued(t, name)
			wantZones, wantSuffixes := slices.Clone(f.Zones[clouds[name]]), slices.Clone(f.Forwarders[clouds[name]])
			for _, a := range additions {
				if a.catalog != name {
					continue
				}
				if slices.Contains(wantZones, a.zone) || slices.Contains(wantSuffixes, a.suffix) {
					t.Errorf("addition %q, %q is published", a.zone, a.suffix)
				}
				wantSuffixes = append(wantSuffixes, a.suffix)
				if a.zone != "" {
					wantZones = append(wantZones, a.zone)
				}
			}
			for _, a := range anomalies {
				if a.catalog == name {
					wantSuffixes = slices.DeleteFunc(wantSuffixes, func(s string) bool { return s == a.forwarder })
					wantSuffixes = append(wantSuffixes, a.instead...)
				}
			}
			same(t, "zones", zoneNames, wantZones)
			same(t, "suffixes", suffixes, wantSuffixes)
		})
	}
}

// same compares two sets of names.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, list := range []*[]string{&got, &want} {
		*list = slices.Clone(*list)
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s: %q is neither published nor an addition", what, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s: %q is missing", what, name)
		}
	}
}

// TestRows compares the catalogs with the tables row by row, in their order:
// published rows first, then the additions.
func TestRows(t *testing.T) {
	f := readFacts(t)
	for _, name := range zones.Names() {
		t.Run(name, func(t *testing.T) {
			rows := slices.DeleteFunc(slices.Clone(f.Entries), func(r factRow) bool {
				return r.Cloud != clouds[name] || r.DuplicateOf != ""
			})
			if want := f.Counts[clouds[name]]; len(rows) != want {
				t.Fatalf("%d rows are published, want %d", len(rows), want)
			}
			services := readFile(t, name).Services
			if len(services) < len(rows) {
				t.Fatalf("%d services, want at least %d", len(services), len(rows))
			}
			for i, row := range rows {
				compareRow(t, name, services[i], row)
			}
			added := 0
			for _, a := range additions {
				if a.catalog == name && a.zone != "" {
					added++
				}
			}
			if got := len(services) - len(rows); got != added {
				t.Errorf("%d services beyond the published rows, want %d additions", got, added)
			}
			for _, service := range services[len(rows):] {
				if !strings.HasPrefix(service.Note, "Not in the published table") {
					t.Errorf("service %q with %q is added, and its note says %q", service.Service, service.PrivateZones, service.Note)
				}
			}
		})
	}
}

// compareRow compares one service with its published row.
func compareRow(t *testing.T, name string, got fileRow, want factRow) {
	t.Helper()
	if got.Service != want.Service || got.Category != want.Category {
		t.Fatalf("%s: service %q of %q, want %q of %q", want.ID, got.Service, got.Category, want.Service, want.Category)
	}
	same(t, want.ID+": resource types", got.ResourceTypes, want.ResourceTypes)
	same(t, want.ID+": groups", got.GroupIDs, want.GroupIDs)
	same(t, want.ID+": zones", got.PrivateZones, want.Zones)
	var suffixes []string
	for _, forwarder := range want.Forwarders {
		i := slices.IndexFunc(anomalies, func(a anomaly) bool { return a.catalog == name && a.forwarder == forwarder })
		if i < 0 {
			suffixes = append(suffixes, forwarder)
			continue
		}
		suffixes = append(suffixes, anomalies[i].instead...)
	}
	suffixes = append(suffixes, further[want.ID]...)
	for _, a := range additions {
		if a.catalog == name && a.zone == "" && slices.Contains(got.PublicSuffixes, a.suffix) {
			suffixes = append(suffixes, a.suffix)
		}
	}
	same(t, want.ID+": suffixes", got.PublicSuffixes, suffixes)
	if !slices.Equal(sorted(got.PublicSuffixes), sorted(want.Forwarders)) && got.Note == "" {
		t.Errorf("%s: suffixes differ from the published ones and no note says why", want.ID)
	}
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

// TestObserved wants every zone seen in use elsewhere catalogued, and those
// nobody could verify never refused.
func TestObserved(t *testing.T) {
	catalogs := make(map[string]*catalog.Catalog)
	for name, cloud := range clouds {
		catalogs[cloud] = load(t, name)
	}
	for _, observed := range readFacts(t).Observed {
		t.Run(observed.Zone, func(t *testing.T) {
			in := "x." + fill(observed.Zone)
			zone := catalogs[observed.Cloud].Match(in).Zone
			if zone == nil || zone.Name != observed.Zone {
				t.Fatalf("Match(%q).Zone = %v, want %q", in, zone, observed.Zone)
			}
			if observed.Status == "unverified" && !zone.DirectLegitimate(in) {
				t.Errorf("DirectLegitimate(%q) = false, want an unverified zone never refused", in)
			}
		})
	}
}

// TestDirect wants the names of the facts that clients look up never refused.
func TestDirect(t *testing.T) {
	c := load(t, zones.Names()...)
	tested := 0
	for _, direct := range readFacts(t).Direct {
		if !strings.HasPrefix(direct.Pattern, "*.") {
			continue // not a name but a rule for the caller
		}
		tested++
		in := "x" + fill(direct.Pattern[1:])
		if zone := c.Match(in).Zone; zone == nil || !zone.DirectLegitimate(in) {
			t.Errorf("%q: zone %v refuses %q", direct.Pattern, zone, in)
		}
	}
	if tested != 4 {
		t.Errorf("%d patterns tested, want 4", tested)
	}
}

// fill makes a fully qualified name of a pattern.
func fill(pattern string) string {
	return regexp.MustCompile(`{[^}]*}`).ReplaceAllStringFunc(pattern, func(p string) string {
		if p == "{partitionId}" {
			return "2"
		}
		return "eus2"
	}) + "."
}
