package zones_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// exception is a zone of a published row whose public names are not where the
// table's relation of zone and forwarder puts them.
type exception struct {
	id, zone string
	// owner is what stands left of the zone, public what the name is then
	// called; empty if that cannot be derived.
	owner, public string
	reason        string
}

var exceptions = []exception{
	{"commercial-keyvault-vaults-vault", "privatelink.vaultcore.azure.net", "x", "x.vault.azure.net.", "renamed"},
	{"usgov-keyvault-vaults-vault", "privatelink.vaultcore.usgovcloudapi.net", "x", "x.vault.usgovcloudapi.net.", "renamed"},
	{"china-keyvault-vaults-vault", "privatelink.vaultcore.azure.cn", "x", "x.vault.azure.cn.", "renamed"},
	{"commercial-containerservice-managedclusters-management", "privatelink.{regionName}.azmk8s.io", "x", "", "the public name of a cluster is made up differently"},
	{"commercial-containerservice-managedclusters-management", "{subzone}.privatelink.{regionName}.azmk8s.io", "x", "", "the public name of a cluster is made up differently"},
	{"commercial-elasticsan-elasticsans-volumegroup", "privatelink.blob.core.windows.net", "es-x", "", "the number in the public name is not in the private one"},
	{"commercial-iotcentral-iotapps-iotapp", "privatelink.azure-devices.net", "x", "x.azure-devices.net.", "the forwarder is an anomaly"},
	{"commercial-iotcentral-iotapps-iotapp", "privatelink.servicebus.windows.net", "x", "x.servicebus.windows.net.", "the forwarder is an anomaly"},
	{"commercial-iotcentral-iotapps-iotapp", "privatelink.azure-devices-provisioning.net", "x", "x.azure-devices-provisioning.net.", "the forwarder is an anomaly"},
	{"china-signalrservice-signalr-signalr", "privatelink.signalr.azure.cn", "x", "x.signalr.azure.cn.", "the suffix of that name is an addition"},
}

// TestRelations holds what PublicName derives against the relation that the
// facts state for each zone of each row.
func TestRelations(t *testing.T) {
	f := readFacts(t)
	used := make(map[int]bool)
	relations := make(map[string]int)
	for _, name := range zones.Names() {
		c := load(t, name)
		for _, row := range f.Entries {
			if row.Cloud != clouds[name] {
				continue
			}
			for i, zone := range row.Zones {
				n := slices.IndexFunc(exceptions, func(e exception) bool { return e.id == row.ID && e.zone == zone })
				if n >= 0 {
					used[n] = true
					checkPublicName(t, c, row.ID, exceptions[n].owner+"."+fill(zone), exceptions[n].public)
					continue
				}
				relations[row.Relations[i]]++
				checkRelation(t, c, row, zone, row.Relations[i])
			}
		}
	}
	for i, e := range exceptions {
		if !used[i] {
			t.Errorf("exception %s, %s: no such row and zone", e.id, e.zone)
		}
	}
	for _, relation := range []string{"exact", "forwarder_is_parent", "forwarder_is_child", "unrelated"} {
		if relations[relation] == 0 {
			t.Errorf("no zone with relation %s was checked", relation)
		}
	}
}

// checkRelation checks one zone of one row.
func checkRelation(t *testing.T, c *catalog.Catalog, row factRow, zone, relation string) {
	t.Helper()
	without := strings.NewReplacer("privatelink-global.", "", "privatelink.", "").Replace(zone)
	switch relation {
	case "exact", "forwarder_is_parent":
		checkPublicName(t, c, row.ID, "x."+fill(zone), "x."+fill(without))
	case "forwarder_is_child":
		children := 0
		for _, forwarder := range row.Forwarders {
			more, isChild := strings.CutSuffix(forwarder, "."+without)
			if !isChild {
				continue
			}
			children++
			checkPublicName(t, c, row.ID, "x."+strings.TrimSuffix(fill(more), ".")+"."+fill(zone), "x."+fill(forwarder))
		}
		if children == 0 {
			t.Errorf("%s: no forwarder is a child of %q", row.ID, without)
		}
		if !slices.ContainsFunc(c.Namespaces(), func(n *catalog.Namespace) bool { return n.Suffix == without }) {
			checkPublicName(t, c, row.ID, "x."+fill(zone), "")
		}
	case "unrelated":
		own := slices.DeleteFunc(slices.Clone(row.Forwarders), func(forwarder string) bool {
			return slices.Contains(row.Zones, "privatelink."+forwarder)
		})
		if len(own) != 1 {
			t.Fatalf("%s: forwarders %q are left for %q, want one", row.ID, own, zone)
		}
		checkPublicName(t, c, row.ID, "x."+fill(zone), "x."+fill(own[0]))
	default:
		t.Errorf("%s: unknown relation %q", row.ID, relation)
	}
}

// checkPublicName checks the public name of one private name.
func checkPublicName(t *testing.T, c *catalog.Catalog, id, private, want string) {
	t.Helper()
	zone := c.Match(private).Zone
	if zone == nil {
		t.Errorf("%s: Match(%q) has no zone", id, private)
		return
	}
	if got, _ := zone.PublicName(private); got != want {
		t.Errorf("%s: PublicName(%q) = %q, want %q", id, private, got, want)
	}
}
