package zones_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

func TestNames(t *testing.T) {
	if got, want := zones.Names(), []string{"azure", "azure-china", "azure-usgov"}; !slices.Equal(got, want) {
		t.Errorf("Names() = %q, want %q", got, want)
	}
}

func TestLookup(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     bool
	}{
		{"public cloud", "azure", true},
		{"government", "azure-usgov", true},
		{"china", "azure-china", true},
		{"file name", "azure.yaml", false},
		{"path", "../zones/azure", false},
		{"here", ".", false},
		{"empty", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := zones.Lookup(tc.in)
			if ok != tc.want {
				t.Fatalf("Lookup(%q) = %v, want %v", tc.in, ok, tc.want)
			}
			if !tc.want {
				return
			}
			want, err := os.ReadFile(tc.in + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("Lookup(%q) differs from the file", tc.in)
			}
		})
	}
}

// TestLookupOwned changes what Lookup returned and wants it unchanged the next
// time.
func TestLookupOwned(t *testing.T) {
	first, _ := zones.Lookup("azure")
	first[0] = 'X'
	if second, _ := zones.Lookup("azure"); second[0] == 'X' {
		t.Error("Lookup returned the same bytes twice")
	}
}

// load loads shipped catalogs with everything included that they have.
func load(t testing.TB, names ...string) *catalog.Catalog {
	t.Helper()
	var sources []catalog.Source
	var include []string
	for _, name := range names {
		data, ok := zones.Lookup(name)
		if !ok {
			t.Fatalf("no catalog %q", name)
		}
		sources = append(sources, catalog.Source{Path: name + ".yaml", Data: data})
		if name == "azure" {
			include = []string{"resource-manager"}
		}
	}
	c, err := catalog.Load(sources, include)
	if err != nil {
		t.Fatalf("Load(%q): %v", names, err)
	}
	return c
}

// TestLoadTogether wants no contradiction between the clouds: a company may
// use all of them.
func TestLoadTogether(t *testing.T) {
	all := len(load(t, zones.Names()...).Zones())
	each := 0
	for _, name := range zones.Names() {
		each += len(load(t, name).Zones())
	}
	if all != each {
		t.Errorf("%d zones together, %d one by one: no zone should be in two clouds", all, each)
	}
}

// TestResourceManager wants the suffix that covers every azure.com name left
// out unless it is asked for.
func TestResourceManager(t *testing.T) {
	data, _ := zones.Lookup("azure")
	c, err := catalog.Load([]catalog.Source{{Path: "azure.yaml", Data: data}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const name = "management.azure.com."
	if match := c.Match(name); match.Namespace != nil {
		t.Errorf("Match(%q) = %q, want nothing", name, match.Namespace.Suffix)
	}
	if match := load(t, "azure").Match(name); match.Namespace == nil || match.Namespace.Suffix != "azure.com" {
		t.Errorf("Match(%q) = %v with resource-manager, want azure.com", name, match.Namespace)
	}
}

// privateName is what a private name is called publicly, and whether it is one
// that clients use.
type privateName struct {
	name, in, public string
	direct           bool
}

func TestPublicNames(t *testing.T) {
	checkNames(t, []privateName{
		{"SQL", "db1.privatelink.database.windows.net.", "db1.database.windows.net.", false},
		{"SQL Managed Instance", "mi1.privatelink.0a1b2c3d4e5f.database.windows.net.", "mi1.0a1b2c3d4e5f.database.windows.net.", false},
		{"Key Vault", "v1.privatelink.vaultcore.azure.net.", "v1.vault.azure.net.", false},
		{"Key Vault, government", "v1.privatelink.vaultcore.usgovcloudapi.net.", "v1.vault.usgovcloudapi.net.", false},
		{"Key Vault, China", "v1.privatelink.vaultcore.azure.cn.", "v1.vault.azure.cn.", false},
		{"Storage", "st1.privatelink.blob.core.windows.net.", "st1.blob.core.windows.net.", false},
		{"Storage, second region", "st1-secondary.privatelink.blob.core.windows.net.", "st1-secondary.blob.core.windows.net.", false},
		{"managed disk", "md-impexp-1.privatelink.blob.core.windows.net.", "", false},
		{"Elastic SAN", "es-1.privatelink.blob.core.windows.net.", "", false},
		{"Batch", "b1.eastus.privatelink.batch.azure.com.", "b1.eastus.batch.azure.com.", false},
		{"Batch nodes", "g1.eastus.service.privatelink.batch.azure.com.", "g1.eastus.service.batch.azure.com.", false},
		{"Batch without region", "b1.privatelink.batch.azure.com.", "", false},
		{"Backup", "c1.privatelink.eus.backup.windowsazure.com.", "c1.eus.backup.windowsazure.com.", false},
		{"Event Grid", "t1.eastus-1.privatelink.eventgrid.azure.net.", "t1.eastus-1.eventgrid.azure.net.", false},
		{"Event Grid MQTT", "n1.eastus-1.privatelink.ts.eventgrid.azure.net.", "n1.eastus-1.ts.eventgrid.azure.net.", false},
		{"Health Data workspace", "w1.workspace.privatelink.azurehealthcareapis.com.", "w1.workspace.azurehealthcareapis.com.", false},
		{"Health Data FHIR", "w1-f1.fhir.privatelink.azurehealthcareapis.com.", "w1-f1.fhir.azurehealthcareapis.com.", false},
		{"Health Data without service", "w1.privatelink.azurehealthcareapis.com.", "", false},
		{"Redis Enterprise", "c1.eastus.privatelink.redisenterprise.cache.azure.net.", "c1.eastus.redisenterprise.cache.azure.net.", false},
		{"Redis Enterprise without region", "c1.privatelink.redisenterprise.cache.azure.net.", "", false},
		{"Managed Redis", "c1.eastus.privatelink.redis.azure.net.", "c1.eastus.redis.azure.net.", false},
		{"Managed Redis without region", "c1.privatelink.redis.azure.net.", "", false},
		{"SignalR", "s1.privatelink.service.signalr.net.", "s1.service.signalr.net.", false},
		{"SignalR, China", "s1.privatelink.signalr.azure.cn.", "s1.signalr.azure.cn.", false},
		{"IoT Hub, government", "ns1.privatelink.servicebus.windows.us.", "ns1.servicebus.usgovcloudapi.net.", false},
		{"container registry", "r1.privatelink.azurecr.io.", "r1.azurecr.io.", false},
		{"container registry data", "r1.eastus.data.privatelink.azurecr.io.", "r1.eastus.data.azurecr.io.", false},
		{"container registry, government", "r1.usgovvirginia.data.privatelink.azurecr.us.", "r1.usgovvirginia.data.azurecr.us.", false},
		{"web app", "app1.privatelink.azurewebsites.net.", "app1.azurewebsites.net.", false},
		{"web app's scm", "app1.scm.privatelink.azurewebsites.net.", "app1.scm.azurewebsites.net.", false},
		{"container app", "app1.env1.privatelink.eastus.azurecontainerapps.io.", "app1.env1.eastus.azurecontainerapps.io.", false},
		{"static web app", "app1.privatelink.2.azurestaticapps.net.", "app1.2.azurestaticapps.net.", false},
		{"Virtual Desktop", "rdweb.privatelink-global.wvd.microsoft.com.", "rdweb.wvd.microsoft.com.", false},
		{"Resource Manager", "management.privatelink.azure.com.", "management.azure.com.", false},
		{"machine learning workspace", "g1.workspace.eastus.privatelink.api.azureml.ms.", "g1.workspace.eastus.api.azureml.ms.", false},
		{"machine learning inference", "e1.g1.inference.eastus.privatelink.api.azureml.ms.", "", false},
	})
}

// TestDirectNames has the services whose clients use private names, each with
// a name that they do not use.
func TestDirectNames(t *testing.T) {
	checkNames(t, []privateName{
		{"AKS", "c1.0a1b2c3d-0000-0000-0000-000000000000.privatelink.eastus.azmk8s.io.", "", true},
		{"AKS, own zone", "c1.privatelink.eastus.azmk8s.io.", "", true},
		{"AKS, government", "c1.g1.privatelink.usgovvirginia.cx.aks.containerservice.azure.us.", "", true},
		{"AKS, China", "c1.g1.privatelink.chinaeast2.cx.prod.service.azk8s.cn.", "", true},
		{"Power BI", "0a1b2c3d4e5f60718293a4b5c6d7e8f9-api.privatelink.analysis.windows.net.", "0a1b2c3d4e5f60718293a4b5c6d7e8f9-api.analysis.windows.net.", true},
		{"Power BI, other name", "wabi-north.privatelink.analysis.windows.net.", "wabi-north.analysis.windows.net.", false},
		{"Site Recovery", "v1-asr-pod01-rcm1-.eus.privatelink.siterecovery.windowsazure.com.", "v1-asr-pod01-rcm1-.eus.siterecovery.windowsazure.com.", true},
		{"Site Recovery, government", "v1-asr-pod01-rcm1-.ugv.privatelink.siterecovery.windowsazure.us.", "v1-asr-pod01-rcm1-.ugv.siterecovery.windowsazure.us.", true},
		{"Site Recovery, other name", "x.eus.privatelink.siterecovery.windowsazure.com.", "x.eus.siterecovery.windowsazure.com.", false},
		{"Automation webhook", "a1.webhook.eus.privatelink.azure-automation.net.", "a1.webhook.eus.azure-automation.net.", false},
		{"Automation worker", "a1.jrds.eus.privatelink.azure-automation.net.", "a1.jrds.eus.azure-automation.net.", true},
		{"unverified zone", "x.privatelink.search.azure.cn.", "x.search.azure.cn.", true},
	})
}

func checkNames(t *testing.T, cases []privateName) {
	t.Helper()
	c := load(t, zones.Names()...)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			zone := c.Match(tc.in).Zone
			if zone == nil {
				t.Fatalf("Match(%q) has no zone", tc.in)
			}
			if got, _ := zone.PublicName(tc.in); got != tc.public {
				t.Errorf("PublicName(%q) = %q, want %q", tc.in, got, tc.public)
			}
			if got := zone.DirectLegitimate(tc.in); got != tc.direct {
				t.Errorf("DirectLegitimate(%q) = %v, want %v", tc.in, got, tc.direct)
			}
		})
	}
}
