package privatelink

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// aMachine is in Azure, with an address of its own and private sources.
func aMachine() Machine {
	return Machine{
		AssetTag: azureAssetTag, Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.4")},
		Source: func(netip.AddrPort) netip.Addr { return netip.MustParseAddr("10.1.0.4") },
	}
}

// lintText lints a Corefile and returns each remark as "line code".
func lintText(t *testing.T, text string, machine Machine) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stanzas, err := ReadStanzas(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	remarks, err := Lint(stanzas, machine)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, remark := range remarks {
		_, line := remark.place()
		found = append(found, fmt.Sprintf("%d %s", line, remark.Code))
	}
	return found
}

// clean is a stanza with nothing to remark. Its lines are 4 to 9 of the Corefile.
const clean = `state state
upstream azure 168.63.129.16 budget=azure
upstream corp 10.10.0.4
upstream public 9.9.9.9
route catalog azure missing=public outage=public
route corp.example corp`

func TestLint(t *testing.T) {
	resolverAt := func(source string) Machine {
		machine := aMachine()
		machine.Source = func(netip.AddrPort) netip.Addr { return netip.MustParseAddr(source) }
		return machine
	}
	outside := aMachine()
	outside.AssetTag = "Desktop"
	unknown := aMachine()
	unknown.AssetTag = ""
	tests := []struct {
		name, body string
		machine    Machine
		want       []string
	}{
		{"nothing to remark", clean, aMachine(), nil},
		{"no state", strings.Replace(clean, "state state", "", 1), aMachine(), []string{"3 no-state"}},
		{"no budget", strings.Replace(clean, " budget=azure", "", 1), aMachine(), []string{"5 no-budget"}},
		{"outside of Azure", clean, outside, []string{"5 not-in-azure"}},
		{"a machine that does not tell", clean, unknown, nil},
		{"a resolver from a public address", clean + "\nupstream resolver 10.1.0.68 budget=resolver", resolverAt("100.64.0.9"), []string{"10 resolver-source"}},
		{"a resolver from a private address", clean + "\nupstream resolver 10.1.0.68 budget=resolver", resolverAt("172.31.0.9"), nil},
		{"a fallback to Azure", clean + "\nroute x.example corp outage=azure", aMachine(), []string{"10 fallback-to-azure"}},
		{"a fallback to itself", clean + "\nroute x.example corp outage=corp", aMachine(), []string{"10 fallback-to-itself"}},
		{"a fallback to another port", clean + "\nupstream hub 10.40.0.4:5454 backup=10.40.0.4:5455\nupstream branch 10.40.0.4:5999\nroute x.example hub outage=branch", aMachine(), nil},
		{"a fallback to its own backup", clean + "\nupstream hub 10.40.0.4:5454 backup=10.40.0.4:5455\nupstream branch 10.40.0.4:5455\nroute x.example hub outage=branch", aMachine(), []string{"12 fallback-to-itself"}},
		{"a fallback that leaks", clean + "\nroute x.example corp outage=public missing=public", aMachine(), []string{"10 fallback-leaks", "10 fallback-leaks"}},
		{"a fallback that leaks one name", clean + "\nroute =db.x.example corp outage=public", aMachine(), []string{"10 fallback-leaks"}},
		{"a fallback to a branch", clean + "\nupstream branch 10.40.0.4\nroute x.example corp outage=branch", aMachine(), nil},
		{"a fallback for public names", clean + "\nroute trafficmanager.net azure outage=public\nroute . azure", aMachine(), nil},
		{"a namespace at the fallback group", clean + "\nroute vault.azure.net public", aMachine(), []string{"10 blind-upstream"}},
		{"a namespace at a public address", clean + "\nupstream out 1.1.1.1\nroute vault.azure.net out", aMachine(), []string{"11 blind-upstream"}},
		{"a privatelink zone", clean + "\nroute privatelink.vaultcore.azure.net corp", aMachine(), []string{"10 privatelink-route"}},
		{"a privatelink zone that is not catalogued", clean + "\nroute privatelink.example corp", aMachine(), []string{"10 privatelink-route"}},
		{"a suffix above the catalog", clean + "\nroute azure.net corp", aMachine(), []string{"10 shadows-catalog"}},
		{"a suffix of the catalog, on purpose", clean + "\nroute vault.azure.net corp", aMachine(), nil},
		{"a route that decides nothing", clean + "\nroute db.corp.example corp", aMachine(), []string{"10 idle-route"}},
		{"a name that decides nothing", clean + "\nroute =db.corp.example corp", aMachine(), []string{"10 idle-route"}},
		{"a namespace like the catalog", clean + "\nroute vault.azure.net azure missing=public outage=public", aMachine(), []string{"10 idle-route"}},
		{"a namespace with other fallbacks", clean + "\nroute vault.azure.net azure", aMachine(), nil},
		{"a name between", clean + "\nroute db.corp.example azure\nroute x.db.corp.example corp", aMachine(), nil},
		{"protected and not routed", clean + "\nmust-private vault.azure.net =x.example", aMachine(), []string{"10 must-private-unrouted"}},
		{"wide resolvers", clean + "\nclients resolver 10.30.0.0/16", aMachine(), []string{"10 wide-resolvers"}},
		{"a network in another of its class", clean + "\nclients stub 10.20.0.0/16 10.20.1.0/24", aMachine(), []string{"10 idle-network"}},
		{"a network with another class between", clean + "\nclients stub 10.20.0.0/16 10.20.1.4\nclients deny 10.20.1.0/24", aMachine(), nil},
		{"itself", strings.Replace(clean, "10.10.0.4", "10.1.0.4", 1), aMachine(), []string{"6 own-address"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := lintText(t, ". {\nerrors\nprivatelink {\n"+tc.body+"\n}\n}\n", tc.machine)
			if !slices.Equal(got, tc.want) {
				t.Errorf("Lint = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLintFindsStanzasInACircle(t *testing.T) {
	block := ".:%d {\nbind 127.0.0.1\nprivatelink {\nstate s\nupstream other 127.0.0.1:%d\nroute . other\n}\n}\n"
	got := lintText(t, fmt.Sprintf(block, 1053, 1054)+fmt.Sprintf(block, 1054, 1053), aMachine())
	if want := []string{"3 circle", "11 circle"}; !slices.Equal(got, want) {
		t.Errorf("Lint = %q, want %q", got, want)
	}
	if got := lintText(t, fmt.Sprintf(block, 1053, 1054)+fmt.Sprintf(block, 1054, 1055), aMachine()); len(got) > 0 {
		t.Errorf("Lint of a line = %q, want nothing", got)
	}
}

func TestRouteCatalogThatIsNeverReached(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.yaml")
	data := "schema: 1\ncloud: own\nservices:\n  - service: Own\n    private_zones: [privatelink.own.example]\n    public_suffixes: [own.example]\n"
	if err := os.WriteFile(own, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	text := ". {\nprivatelink {\nstate s\ncatalog " + own + "\nupstream a 10.0.0.4\nupstream b 10.0.0.5\nroute catalog a\nroute own.example b\n}\n}\n"
	if got, want := lintText(t, text, aMachine()), []string{"7 never-reached"}; !slices.Equal(got, want) {
		t.Errorf("Lint = %q, want %q", got, want)
	}
}
