package privatelink

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// routesOf builds the routes of a stanza with the groups a to e.
func routesOf(t testing.TB, routes string) *service {
	t.Helper()
	var groups strings.Builder
	for index, name := range strings.Fields("a b c d e") {
		fmt.Fprintf(&groups, "upstream %s 10.0.0.%d\n", name, index+4)
	}
	return buildText(t, groups.String()+routes)
}

func TestRouteOfName(t *testing.T) {
	s := routesOf(t, `
		route . e
		route catalog a
		route corp.example b
		route =db9.database.windows.net c
		route vault.azure.net d
		route dev.corp.example c`)
	tests := []struct{ name, in, want string }{
		{"the root", "www.example.org.", "e"},
		{"a public name of the catalog", "db1.database.windows.net.", "a"},
		{"a privatelink name of the catalog", "db1.privatelink.database.windows.net.", "a"},
		{"a zone with a placeholder", "c1.privatelink.eastus.kusto.windows.net.", "a"},
		{"a suffix", "www.corp.example.", "b"},
		{"the suffix itself", "corp.example.", "b"},
		{"the longest suffix", "www.dev.corp.example.", "c"},
		{"a name that ends alike", "notcorp.example.", "e"},
		{"an exact name", "db9.database.windows.net.", "c"},
		{"below an exact name", "x.db9.database.windows.net.", "a"},
		{"the chase of an exact name takes its way", "db9.privatelink.database.windows.net.", "c"},
		{"an explicit route beats the catalog", "v1.vault.azure.net.", "d"},
		{"a chase of a renamed name takes its way", "v1.privatelink.vaultcore.azure.net.", "d"},
		{"a zone's own name takes the way of its namespace", "privatelink.vaultcore.azure.net.", "d"},
		{"an uncatalogued privatelink name", "ak.privatelink.msidentity.com.", "e"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.routes.find(tc.in, s.catalog.Match(tc.in)); got == nil || got.group.Name != tc.want {
				t.Errorf("find(%q) = %v, want group %s", tc.in, got, tc.want)
			}
		})
	}
}

func TestNameWithoutRouteIsRefused(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	handler.current.Load().service.routes.rest = nil
	reply := ask(t, handler, "10.20.0.9", "www.example.org.", dns.TypeA)
	if code, text := extendedError(reply); reply.Rcode != dns.RcodeRefused || code != 20 || text != "no route for this name" {
		t.Errorf("reply = %s, EDE %d %q; want REFUSED, EDE 20", dns.RcodeToString[reply.Rcode], code, text)
	}
}

func BenchmarkFindRoute(b *testing.B) {
	s := routesOf(b, "route catalog a\nroute . b\nroute corp.example c")
	for _, name := range []string{"db1.database.windows.net.", "www.dev.corp.example.", "www.example.org."} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.routes.find(name, s.catalog.Match(name))
			}
		})
	}
}
