package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/azureinventory"
	"github.com/privatelink-dns/privatelink-dns/plugin/azureinventory/armtest"
)

const (
	auditedHub   = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
	auditedIDs   = "11111111-1111-1111-1111-111111111111,22222222-2222-2222-2222-222222222222"
	auditedPlace = "../../plugin/azureinventory/testdata/hub.json"
)

// fakeARM serves the recorded hub over HTTPS until the end of the test, two items a page
// and every page throttled once.
func fakeARM(t *testing.T) (*armtest.Server, *httptest.Server) {
	t.Helper()
	fake := armtest.New(t, auditedPlace)
	fake.PageSize, fake.RetryAfter = 2, time.Millisecond
	server := httptest.NewTLSServer(fake)
	t.Cleanup(server.Close)
	return fake, server
}

// runAudit executes the command as the program does, but for its identity and the
// certificate that it trusts.
func runAudit(server *httptest.Server, arguments ...string) said {
	var out, messages bytes.Buffer
	command := newAuditCommandFor(azureinventory.Options{Credential: armtest.Credential{}, Transport: server.Client()})
	command.SilenceErrors, command.SilenceUsage = true, true
	command.SetArgs(append([]string{"--endpoint", server.URL}, arguments...))
	command.SetOut(&out)
	command.SetErr(&messages)
	code := 0
	if err := command.Execute(); err != nil {
		code = exitCode(err)
		messages.WriteString(err.Error())
	}
	return said{out.String(), messages.String(), code}
}

// auditedSite is a directory with a Corefile and a query log.
func auditedSite(t *testing.T) (corefile, log string) {
	t.Helper()
	directory := t.TempDir()
	corefile, log = filepath.Join(directory, "Corefile"), filepath.Join(directory, "query.log")
	text := ". {\n    bind 10.1.0.4\n    privatelink {\n        upstream azure 168.63.129.16 budget=azure\n        upstream resolver 10.1.0.68 budget=resolver\n        route catalog azure resolver\n        route . azure\n    }\n}\n"
	for path, content := range map[string]string{
		corefile: text,
		log:      `{"qname":"v1.vault.azure.net."}` + "\n" + `{"qname":"db1.database.windows.net."}` + "\n" + `{"qname":"bus1.servicebus.windows.net."}` + "\n" + `{"qname":"st1.dfs.core.windows.net."}` + "\n{",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return corefile, log
}

func TestAuditPrints(t *testing.T) {
	for _, tc := range []struct {
		file      string
		arguments []string
	}{
		{"audit.golden", nil},
		{"audit-json.golden", []string{"--json"}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			fake, server := fakeARM(t)
			corefile, log := auditedSite(t)
			got := runAudit(server, append([]string{"-c", corefile, "--subscription", auditedIDs, "--vnet", auditedHub, "--in-use", log}, tc.arguments...)...)
			if got.code != codeFound || got.err != log+": 1 of 5 lines are no records and were passed over\n" {
				t.Errorf("audit ends with %d and says %q, want %d, the bad line and no progress", got.code, got.err, codeFound)
			}
			golden(t, tc.file, got.out)
			if served, throttled := fake.Counts(); throttled == 0 || served != 2*throttled {
				t.Errorf("%d requests were served and %d throttled, want every page asked for once more", served, throttled)
			}
		})
	}
}

func TestAuditHelp(t *testing.T) { runGolden(t, "audit-help.golden", "audit", "--help") }

func TestAuditWithoutFaultsEndsWell(t *testing.T) {
	_, server := fakeARM(t)
	corefile, _ := auditedSite(t)
	test := "/subscriptions/22222222-2222-2222-2222-222222222222/resourceGroups/rg-test/providers/Microsoft.Network/virtualNetworks/vnet-test"
	text, err := os.ReadFile(corefile)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("route catalog azure resolver"), []byte("upstream public 9.9.9.9\nroute catalog azure missing=public"), 1)
	if err := os.WriteFile(corefile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := runAudit(server, "-c", corefile, "--subscription", "22222222-2222-2222-2222-222222222222", "--vnet", test)
	if got.code != 0 || got.err != "" || !strings.HasSuffix(got.out, "\nall is well\n") {
		t.Errorf("audit of the test subscription = %+v, want code 0 and all well", got)
	}
}

func TestAuditSaysWhatToDo(t *testing.T) {
	fake, server := fakeARM(t)
	fake.Refuse = map[string]armtest.Refusal{
		"/subscriptions/33333333-3333-3333-3333-333333333333/providers/microsoft.network/privatednszones": {Status: 403, Code: "AuthorizationFailed"},
	}
	corefile, _ := auditedSite(t)
	for _, tc := range []struct {
		name      string
		arguments []string
		want      string
	}{
		{"no subscription", nil, `required flag(s) "subscription" not set`},
		{"a name for a subscription", []string{"--subscription", "hub"}, `found subscription "hub", expected its ID`},
		{"a subscription that may not be read", []string{"--subscription", "33333333-3333-3333-3333-333333333333"}, "give the identity the role Reader"},
		{"a name for a VNet", []string{"--subscription", auditedIDs, "--vnet", "vnet-hub"}, `--vnet: found "vnet-hub", expected a resource ID`},
		{"another cloud", []string{"--subscription", auditedIDs, "--cloud", "mars"}, `found cloud "mars", expected one of`},
		{"no log", []string{"--subscription", auditedIDs, "--in-use", "/nonexistent"}, "--in-use /nonexistent: no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := runAudit(server, append([]string{"-c", corefile}, tc.arguments...)...)
			if got.code != codeFailed || got.out != "" || !strings.Contains(got.err, tc.want) {
				t.Errorf("audit %q = %+v, want code %d, no output and %q", tc.arguments, got, codeFailed, tc.want)
			}
		})
	}
}
