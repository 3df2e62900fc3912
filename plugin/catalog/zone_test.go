package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

func findZone(t *testing.T, c *catalog.Catalog, name string) *catalog.Zone {
	t.Helper()
	i := slices.IndexFunc(c.Zones(), func(z *catalog.Zone) bool { return z.Name == name })
	if i < 0 {
		t.Fatalf("no zone %q", name)
	}
	return c.Zones()[i]
}

func TestPublicName(t *testing.T) {
	c := load(t, sample)
	for _, tc := range []struct{ name, in, want string }{
		{"label left out", "db1.privatelink.database.windows.net.", "db1.database.windows.net."},
		{"several labels", "a.b.privatelink.database.windows.net.", "a.b.database.windows.net."},
		{"renamed", "v1.privatelink.vaultcore.azure.net.", "v1.vault.azure.net."},
		{"global", "rdweb.privatelink-global.wvd.microsoft.com.", "rdweb.wvd.microsoft.com."},
		{"zone with a placeholder", "mi1.privatelink.0a1b.database.windows.net.", "mi1.0a1b.database.windows.net."},
		{"label deeper than second", "r.eastus.data.privatelink.azurecr.io.", "r.eastus.data.azurecr.io."},
		{"below a regional suffix", "b1.eastus.privatelink.batch.azure.com.", "b1.eastus.batch.azure.com."},
		{"below the other regional suffix", "g1.eastus.service.privatelink.batch.azure.com.", "g1.eastus.service.batch.azure.com."},
		{"above the regional suffixes", "b1.privatelink.batch.azure.com.", ""},
		{"no region", "b1.east-us.privatelink.batch.azure.com.", ""},
		{"suffix fills its own placeholder", "c1.eastus.privatelink.redisenterprise.cache.azure.net.", "c1.eastus.redisenterprise.cache.azure.net."},
		{"suffix cannot fill it", "c1.privatelink.redisenterprise.cache.azure.net.", ""},
		{"shared zone", "st1.privatelink.blob.core.windows.net.", "st1.blob.core.windows.net."},
		{"underivable", "md-impexp-1.privatelink.blob.core.windows.net.", ""},
		{"underivable, glob in upper case", "es-1.privatelink.blob.core.windows.net.", ""},
		{"only the leftmost label is", "a.md-1.privatelink.blob.core.windows.net.", "a.md-1.blob.core.windows.net."},
		{"underivable zone", "c1.privatelink.eastus.azmk8s.io.", ""},
		{"the zone itself", "privatelink.database.windows.net.", ""},
		{"the zone itself, with placeholder", "privatelink.0a1b.database.windows.net.", ""},
		{"twice private", "a.privatelink.privatelink.database.windows.net.", ""},
		{"escaped dot", `a\.b.privatelink.database.windows.net.`, `a\.b.database.windows.net.`},
		{"escaped backslash", `a\\.privatelink.database.windows.net.`, `a\\.database.windows.net.`},
		{"empty label", "a..privatelink.database.windows.net.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			match := c.Match(tc.in)
			if match.Zone == nil {
				t.Fatalf("Match(%q) has no zone", tc.in)
			}
			got, ok := match.Zone.PublicName(tc.in)
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("PublicName(%q) = %q, %v, want %q", tc.in, got, ok, tc.want)
			}
		})
	}
}

func TestPublicSuffixes(t *testing.T) {
	c := load(t, sample)
	for _, tc := range []struct {
		zone string
		want []string
	}{
		{"privatelink.database.windows.net", []string{"database.windows.net."}},
		{"privatelink.vaultcore.azure.net", []string{"vault.azure.net.", "vaultcore.azure.net."}},
		{"privatelink.blob.core.windows.net", []string{"backup.windowsazure.com.", "blob.core.windows.net.", "blob.storage.azure.net."}},
		{"privatelink.{regionName}.azmk8s.io", []string{"azmk8s.io."}},
	} {
		if got := findZone(t, c, tc.zone).PublicSuffixes(); !slices.Equal(got, tc.want) {
			t.Errorf("PublicSuffixes() of %s = %q, want %q", tc.zone, got, tc.want)
		}
	}
}

func TestPublicNameOfOtherZone(t *testing.T) {
	zone := findZone(t, load(t, sample), "privatelink.database.windows.net")
	for _, tc := range []struct{ name, in string }{
		{"other zone", "v1.privatelink.vaultcore.azure.net."},
		{"public name", "db1.database.windows.net."},
		{"lookalike", "db1.xprivatelink.database.windows.net."},
		{"not fully qualified", "db1.privatelink.database.windows.net"},
		{"empty", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := zone.PublicName(tc.in); ok {
				t.Errorf("PublicName(%q) = %q, want nothing", tc.in, got)
			}
			if zone.DirectLegitimate(tc.in) {
				t.Errorf("DirectLegitimate(%q) = true, want false", tc.in)
			}
		})
	}
}

// TestPublicNameRenamed has a suffix with a placeholder of the zone and one of
// its own.
func TestPublicNameRenamed(t *testing.T) {
	c := load(t, `
schema: 1
cloud: sample
services:
  - service: Sample
    private_zones: ["privatelink.{regionName}.inside.example"]
    public_suffixes: ["{partitionId}.service.{regionName}.outside.example"]
zones:
  - zone: "privatelink.{regionName}.inside.example"
    public_suffix: "{partitionId}.service.{regionName}.outside.example"
`)
	for _, tc := range []struct{ name, in, want string }{
		{"both", "a.2.privatelink.eastus.inside.example.", "a.2.service.eastus.outside.example."},
		{"nothing left of its own", "2.privatelink.eastus.inside.example.", ""},
		{"another kind", "a.b.privatelink.eastus.inside.example.", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, _ := c.Zones()[0].PublicName(tc.in); got != tc.want {
				t.Errorf("PublicName(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

// TestPublicNameTooLong has a rename that makes a name longer than a name can
// be.
func TestPublicNameTooLong(t *testing.T) {
	c := load(t, `
schema: 1
cloud: sample
services:
  - service: Sample
    private_zones: [privatelink.a.example]
    public_suffixes: [a-much-longer-name-than-that.of-the-private-zone.example]
zones:
  - zone: privatelink.a.example
    public_suffix: a-much-longer-name-than-that.of-the-private-zone.example
`)
	label := strings.Repeat("a", 54) + "."
	for _, tc := range []struct {
		name, owner string
		want        bool
	}{
		{"short", "a.", true},
		{"still short enough", strings.Repeat(label, 3) + strings.Repeat("b", 30) + ".", true},
		{"longer", strings.Repeat(label, 4), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := tc.owner + "privatelink.a.example."
			got, ok := c.Zones()[0].PublicName(in)
			if ok != tc.want {
				t.Errorf("PublicName(%q) = %q, %v, want %v", in, got, ok, tc.want)
			}
		})
	}
}

func TestDirectLegitimate(t *testing.T) {
	c := load(t, sample)
	for _, tc := range []struct {
		name, in string
		want     bool
	}{
		{"whole zone", "c1.privatelink.eastus.azmk8s.io.", true},
		{"the zone itself", "privatelink.eastus.azmk8s.io.", true},
		{"one label", "v1-asr-pod01-rcm1.privatelink.siterecovery.windowsazure.com.", true},
		{"leftmost of two", "v1-asr-pod01-rcm1-.eus.privatelink.siterecovery.windowsazure.com.", true},
		{"another label than the leftmost", "x.v1-asr-pod01-rcm1.privatelink.siterecovery.windowsazure.com.", false},
		{"other name", "v1.privatelink.siterecovery.windowsazure.com.", false},
		{"zone of single names", "privatelink.siterecovery.windowsazure.com.", false},
		{"two labels", "a1.jrds.eus.privatelink.azure-automation.net.", true},
		{"second label too few", "a1.privatelink.azure-automation.net.", false},
		{"second label differs", "a1.webhook.eus.privatelink.azure-automation.net.", false},
		{"ordinary", "db1.privatelink.database.windows.net.", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			match := c.Match(tc.in)
			if match.Zone == nil {
				t.Fatalf("Match(%q) has no zone", tc.in)
			}
			if got := match.Zone.DirectLegitimate(tc.in); got != tc.want {
				t.Errorf("DirectLegitimate(%q) = %v, want %v", tc.in, got, tc.want)
			}
			if got := testing.AllocsPerRun(10, func() { match.Zone.DirectLegitimate(tc.in) }); got != 0 {
				t.Errorf("DirectLegitimate(%q) allocates %v times, want 0", tc.in, got)
			}
		})
	}
}

func TestParent(t *testing.T) {
	c := load(t, sample)
	for _, tc := range []struct{ name, zone, want string }{
		{"first label", "privatelink.vaultcore.azure.net", "vaultcore.azure.net"},
		{"deeper", "{regionName}.data.privatelink.azurecr.io", "azurecr.io"},
		{"with placeholder", "{subzone}.privatelink.{regionName}.azmk8s.io", "{regionName}.azmk8s.io"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := findZone(t, c, tc.zone).Parent(); got != tc.want {
				t.Errorf("Parent() = %q, want %q", got, tc.want)
			}
		})
	}
}
