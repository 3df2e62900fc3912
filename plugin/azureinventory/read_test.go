package azureinventory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
	"github.com/privatelink-dns/privatelink-dns/plugin/azureinventory/armtest"
)

const (
	subscriptionA = "11111111-1111-1111-1111-111111111111"
	subscriptionB = "22222222-2222-2222-2222-222222222222"
)

// direct carries requests to a handler without a network, so that time can be faked.
type direct struct {
	handler http.Handler

	mutex sync.Mutex
	asked map[string][]time.Time
	hosts []string
}

func (d *direct) Do(request *http.Request) (*http.Response, error) {
	d.mutex.Lock()
	if d.asked == nil {
		d.asked = map[string][]time.Time{}
	}
	d.asked[request.URL.String()] = append(d.asked[request.URL.String()], time.Now())
	d.hosts = append(d.hosts, request.URL.Host)
	d.mutex.Unlock()
	recorder := httptest.NewRecorder()
	request.Host = request.URL.Host
	d.handler.ServeHTTP(recorder, request)
	response := recorder.Result()
	response.Request = request
	return response, nil
}

func hub(t testing.TB) *armtest.Server { return armtest.New(t, filepath.Join("testdata", "hub.json")) }

func reader(t testing.TB, options Options) *Reader {
	t.Helper()
	if options.Credential == nil {
		options.Credential = armtest.Credential{}
	}
	made, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// summary is an inventory on a few lines, for comparisons.
func summary(inventory *audit.Inventory) []string {
	var lines []string
	for _, zone := range inventory.Zones {
		line := "zone " + zone.Name
		for _, link := range zone.Links {
			line += fmt.Sprintf(" %s redirect=%v %s", link.Network[strings.LastIndex(link.Network, "/")+1:], link.Redirect, link.State)
		}
		for _, record := range zone.Records {
			line += fmt.Sprintf(" %s %s %v", record.Name, record.Type, record.Addresses)
		}
		lines = append(lines, line)
	}
	for _, endpoint := range inventory.Endpoints {
		line := fmt.Sprintf("endpoint %s %v %s", endpoint.ID[strings.LastIndex(endpoint.ID, "/")+1:], endpoint.Groups, endpoint.State)
		for _, name := range endpoint.Names {
			line += fmt.Sprintf(" %s%v", name.Name, name.Addresses)
		}
		for _, record := range endpoint.Managed {
			line += fmt.Sprintf(" managed %s%v", record.Name.Name, record.Addresses)
		}
		lines = append(lines, line)
	}
	for _, resolver := range inventory.Resolvers {
		lines = append(lines, fmt.Sprintf("resolver %s %s %v", resolver.Network[strings.LastIndex(resolver.Network, "/")+1:], resolver.State, resolver.Inbound[0].Addresses))
	}
	for _, ruleset := range inventory.Rulesets {
		line := fmt.Sprintf("ruleset %d networks", len(ruleset.Networks))
		for _, rule := range ruleset.Rules {
			line += fmt.Sprintf(" %s%v", rule.Domain, rule.Targets)
		}
		lines = append(lines, line)
	}
	for _, scope := range inventory.Scopes {
		lines = append(lines, "scope "+scope.Query+" "+scope.Ingestion)
	}
	return lines
}

var hubSummary = []string{
	"zone privatelink.database.windows.net. vnet-hub redirect=true Completed vnet-spoke redirect=false Completed db1.privatelink.database.windows.net. A [10.0.2.4] old1.privatelink.database.windows.net. A [10.0.2.99]",
	"zone privatelink.vaultcore.azure.net. vnet-spoke redirect=false Completed v1.privatelink.vaultcore.azure.net. A [10.0.2.5]",
	"zone privatelink.blob.core.windows.net. vnet-hub redirect=false Completed st1.privatelink.blob.core.windows.net. A [10.0.2.6]",
	"zone privatelink.azurecr.io. vnet-hub redirect=false Completed reg1.privatelink.azurecr.io. A [10.0.2.8]",
	"zone privatelink.azuredatabricks.net. vnet-hub redirect=true Completed adb-1234567890123456.7.privatelink.azuredatabricks.net. A [10.0.2.10]",
	"zone privatelink.eastus.azmk8s.io. vnet-spoke redirect=false Completed aks1-abc123.privatelink.eastus.azmk8s.io. A [10.0.2.11]",
	"zone privatelink.monitor.azure.com. vnet-hub redirect=true Completed api.privatelink.monitor.azure.com. A [10.0.2.14]",
	"zone privatelink.database.windows.net. vnet-test redirect=false Completed db1.privatelink.database.windows.net. A [10.9.2.4] dbtest.privatelink.database.windows.net. A [10.9.2.5]",
	"endpoint pe-db1 [sqlServer] Approved db1.database.windows.net.[10.0.2.4] managed db1.privatelink.database.windows.net.[10.0.2.4]",
	"endpoint pe-v1 [vault] Approved v1.vault.azure.net.[10.0.2.5] managed v1.privatelink.vaultcore.azure.net.[10.0.2.5]",
	"endpoint pe-st1 [blob] Approved st1.blob.core.windows.net.[10.0.2.6] managed st1.privatelink.blob.core.windows.net.[10.0.2.6]",
	"endpoint pe-reg1 [registry] Approved reg1.azurecr.io.[10.0.2.8] managed reg1.privatelink.azurecr.io.[10.0.2.8]",
	"endpoint pe-adb [databricks_ui_api] Approved adb-1234567890123456.7.azuredatabricks.net.[10.0.2.10]",
	"endpoint pe-app1 [sites] Approved app1.azurewebsites.net.[10.0.2.12] app1.scm.azurewebsites.net.[10.0.2.12]",
	"endpoint pe-db2 [sqlServer] Disconnected",
	"endpoint pe-ampls [azuremonitor] Approved api.monitor.azure.com.[10.0.2.14] managed api.privatelink.monitor.azure.com.[10.0.2.14]",
	"endpoint pe-db1 [sqlServer] Approved db1.database.windows.net.[10.9.2.4] managed db1.privatelink.database.windows.net.[10.9.2.4]",
	"endpoint pe-dbtest [sqlServer] Approved dbtest.database.windows.net.[10.9.2.5] managed dbtest.privatelink.database.windows.net.[10.9.2.5]",
	"resolver vnet-hub Succeeded [10.1.0.68]",
	"ruleset 1 networks corp.example.[10.30.0.4] database.windows.net.[10.1.0.68]",
	"scope Open PrivateOnly",
}

// TestReadWaitsAndTurnsPages: every page is throttled once, and asked again after the
// time that the server names, not sooner.
func TestReadWaitsAndTurnsPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 77 * time.Second // longer than the library's own limit of a minute
		server := hub(t)
		server.PageSize, server.RetryAfter = 1, wait
		transport := &direct{handler: server}
		var shown []string
		progress := func(what string, done, all int) { shown = append(shown, fmt.Sprintf("%s %d/%d", what, done, all)) }
		inventory, err := reader(t, Options{Transport: transport, Progress: progress}).Read(t.Context(), []string{subscriptionA, subscriptionB})
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(inventory); !slices.Equal(got, hubSummary) {
			t.Errorf("Read gives\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(hubSummary, "\n"))
		}
		for page, times := range transport.asked {
			if len(times) != 2 || times[1].Sub(times[0]) < wait {
				t.Errorf("%s was asked for at %v, want twice, %v apart", page, times, wait)
			}
		}
		if _, throttled := server.Counts(); throttled < 40 {
			t.Errorf("%d requests were throttled, want every page", throttled)
		}
		if !slices.Contains(shown, "private DNS zones 6/7") || !slices.Contains(shown, "private endpoints 1/2") {
			t.Errorf("the progress was %v, want every zone and endpoint", shown)
		}
	})
}

func TestOtherMethodsAreNotSent(t *testing.T) {
	made := reader(t, Options{Transport: &direct{handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request was sent")
	})}})
	client, err := arm.NewClient("test", "v1.0.0", armtest.Credential{}, made.client)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodHead} {
		request, err := runtime.NewRequest(t.Context(), method, client.Endpoint()+"/subscriptions/x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Pipeline().Do(request); err == nil || !strings.Contains(err.Error(), "found a "+method+" request") {
			t.Errorf("a %s request gives %v, want it refused", method, err)
		}
	}
}

func TestReadTellsWhatItCouldNotRead(t *testing.T) {
	zones := strings.ToLower("/subscriptions/" + subscriptionB + "/providers/Microsoft.Network/privateDnsZones")
	endpoints := strings.ToLower("/subscriptions/" + subscriptionA + "/providers/Microsoft.Network/privateEndpoints")
	for _, tc := range []struct {
		name, path string
		refusal    armtest.Refusal
		want       string
	}{
		{"no role", zones, armtest.Refusal{Status: 403, Code: "AuthorizationFailed"}, "reading the private DNS zones of subscription " + subscriptionB + ": found status 403 AuthorizationFailed; give the identity the role Reader"},
		{"no such subscription", endpoints, armtest.Refusal{Status: 404, Code: "SubscriptionNotFound"}, "reading the private endpoints of subscription " + subscriptionA + ": found status 404 SubscriptionNotFound; see that the ID is right"},
		{"not signed in", zones, armtest.Refusal{Status: 401, Code: "InvalidAuthenticationTokenTenant"}, "sign in to the tenant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := hub(t)
			server.Refuse = map[string]armtest.Refusal{tc.path: tc.refusal}
			inventory, err := reader(t, Options{Transport: &direct{handler: server}}).Read(t.Context(), []string{subscriptionA, subscriptionB})
			if inventory != nil || err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Read = %v, %v, want no inventory and %q on one line", inventory, err, tc.want)
			}
		})
	}
}

// TestUnregisteredProviderIsEmpty: the library would register the provider by a POST
// request, which the fake takes for an error.
func TestUnregisteredProviderIsEmpty(t *testing.T) {
	server := hub(t)
	server.Refuse = map[string]armtest.Refusal{
		strings.ToLower("/subscriptions/" + subscriptionA + "/providers/Microsoft.Network/dnsResolvers"): {Status: 409, Code: "MissingSubscriptionRegistration"},
	}
	inventory, err := reader(t, Options{Transport: &direct{handler: server}}).Read(t.Context(), []string{subscriptionA})
	if err != nil || len(inventory.Resolvers) != 0 || len(inventory.Zones) != 7 {
		t.Errorf("Read = %+v, %v, want everything but resolvers", inventory, err)
	}
}

func TestScopeThatMayNotBeReadIsUnknown(t *testing.T) {
	server := hub(t)
	scope := "/subscriptions/" + subscriptionA + "/resourceGroups/rg-mon/providers/microsoft.insights/privateLinkScopes/ampls-hub"
	server.Refuse = map[string]armtest.Refusal{strings.ToLower(scope): {Status: 403, Code: "AuthorizationFailed"}}
	inventory, err := reader(t, Options{Transport: &direct{handler: server}}).Read(t.Context(), []string{subscriptionA})
	if err != nil || len(inventory.Scopes) != 1 || inventory.Scopes[0] != (audit.MonitorScope{ID: scope}) {
		t.Errorf("Read = %+v, %v, want the scope without access modes", inventory, err)
	}
}

func TestListWithoutEndIsGivenUp(t *testing.T) {
	pages := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		pages++
		_, _ = fmt.Fprintf(w, `{"value":[],"nextLink":"https://%s%s?page=%d"}`, request.Host, request.URL.Path, pages)
	})
	_, err := reader(t, Options{Transport: &direct{handler: handler}}).Read(t.Context(), []string{subscriptionA})
	if err == nil || !strings.Contains(err.Error(), "does not end") || pages > maxPages {
		t.Errorf("Read = %v after %d pages, want it to give up after %d", err, pages, maxPages)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hub(t)
		server.RetryAfter = time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		if _, err := reader(t, Options{Transport: &direct{handler: server}}).Read(ctx, []string{subscriptionA}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// scopes notes what a token was asked for.
type scopes struct{ asked []string }

func (s *scopes) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	s.asked = append(s.asked, options.Scopes...)
	return armtest.Credential{}.GetToken(ctx, options)
}

func TestCloudsHaveTheirOwnAddresses(t *testing.T) {
	for _, tc := range []struct{ cloud, endpoint, wantHost, wantScope string }{
		{"", "", "management.azure.com", "https://management.core.windows.net//.default"},
		{"public", "https://westeurope.management.azure.com", "westeurope.management.azure.com", "https://management.core.windows.net//.default"},
		{"usgovernment", "", "management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net//.default"},
		{"china", "", "management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn//.default"},
	} {
		transport, credential := &direct{handler: hub(t)}, &scopes{}
		made := reader(t, Options{Cloud: tc.cloud, Endpoint: tc.endpoint, Transport: transport, Credential: credential})
		if _, err := made.Read(t.Context(), []string{subscriptionB}); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(transport.hosts, func(host string) bool { return host != tc.wantHost }) || !slices.Contains(credential.asked, tc.wantScope) {
			t.Errorf("cloud %q asks %v with tokens for %v, want %s and %s", tc.cloud, transport.hosts, credential.asked, tc.wantHost, tc.wantScope)
		}
	}
}

func TestMistakesAreFoundBeforeAnythingIsSent(t *testing.T) {
	for _, tc := range []struct {
		options Options
		want    string
	}{
		{Options{Cloud: "mars"}, `found cloud "mars", expected one of [public usgovernment china]`},
		{Options{Endpoint: "http://management.azure.com"}, `found endpoint "http://management.azure.com", expected https://`},
	} {
		if _, err := New(tc.options); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%+v) = %v, want %q", tc.options, err, tc.want)
		}
	}
	_, err := reader(t, Options{}).Read(t.Context(), []string{"hub", subscriptionA, "../x"})
	if err == nil || !strings.Contains(err.Error(), `found subscription "hub"`) || !strings.Contains(err.Error(), `found subscription "../x"`) {
		t.Errorf("Read = %v, want both names that are no IDs", err)
	}
}

// FuzzRead: whatever is answered, reading ends and nothing panics.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"value":[{"id":"/subscriptions/x/resourceGroups/g/providers/Microsoft.Network/privateDnsZones/z","name":"z","properties":{"virtualNetwork":null,"aRecords":[null,{"ipv4Address":"10.0.0.1"}],"customDnsConfigs":[null]}}],"nextLink":null}`))
	f.Add([]byte(`{"value":[null,{"id":"/x"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		left := 50
		var mutex sync.Mutex
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mutex.Lock()
			defer mutex.Unlock()
			if left--; left < 0 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = w.Write(body)
		})
		inventory, err := reader(t, Options{Transport: &direct{handler: handler}}).Read(t.Context(), []string{subscriptionA})
		if (inventory == nil) == (err == nil) {
			t.Errorf("Read = %v, %v, want one of them", inventory, err)
		}
	})
}
