package forwarders

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// shipped loads a built-in catalog.
func shipped(t testing.TB, name string) *catalog.Catalog {
	t.Helper()
	data, found := zones.Lookup(name)
	if !found {
		t.Fatalf("zones.Lookup(%s) found nothing", name)
	}
	loaded, err := catalog.Load([]catalog.Source{{Path: name, Data: data}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestAllIsWhatTheCatalogForwards(t *testing.T) {
	for _, name := range zones.Names() {
		t.Run(name, func(t *testing.T) {
			c := shipped(t, name)
			if got, want := All(c).Domains(), c.Forwards(); !slices.Equal(got, want) {
				t.Errorf("All(%s).Domains() = %q, want %q", name, got, want)
			}
		})
	}
}

// TestEachServiceIsForwardedWhole asks for every service by itself: a server
// that follows a CNAME must find the privatelink name on the way it came.
func TestEachServiceIsForwardedWhole(t *testing.T) {
	for _, name := range zones.Names() {
		c := shipped(t, name)
		for _, service := range ServiceNames(c) {
			selection, err := Named(c, []string{service})
			if err != nil {
				t.Errorf("Named(%q) = %v", service, err)
				continue
			}
			domains := map[string]bool{}
			for _, domain := range selection.Domains() {
				domains[domain] = true
				if catalog.HasPrivatelinkLabel(domain) {
					t.Errorf("%s: Named(%q) forwards %s, want no privatelink zone", name, service, domain)
				}
			}
			for _, zone := range c.Zones() {
				if slices.Contains(zone.Services, service) && !covered(domains, literalEnd(zone.Name)) && !covered(domains, literalEnd(zone.Parent())) {
					t.Errorf("%s: Named(%q) = %q, which does not cover zone %s", name, service, selection.Domains(), zone.Name)
				}
			}
		}
	}
}

func TestNamed(t *testing.T) {
	vault := "vault.azure.net vaultcore.azure.net"
	tests := []struct{ name, wanted, want string }{
		{"a service", "Azure Key Vault", vault},
		{"a service in other words", "key-vault", vault},
		{"a public suffix with its parent", "Vault.Azure.Net.", vault},
		{"a suffix with a placeholder", "{regionName}.kusto.windows.net", "kusto.windows.net"},
		{"the literal end of a suffix", "azmk8s.io", "azmk8s.io"},
		{"a private zone", "privatelink.vaultcore.azure.net", vault},
		{"a zone below its suffix", "database.windows.net", "database.windows.net"},
		{"a zone whose parent is no suffix of the service", "Azure Elastic SAN", "blob.core.windows.net blob.storage.azure.net"},
	}
	c := shipped(t, "azure")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			selection, err := Named(c, []string{tc.wanted})
			if got := strings.Join(selection.Domains(), " "); err != nil || got != tc.want {
				t.Errorf("Named(%q).Domains() = %q, %v, want %q", tc.wanted, got, err, tc.want)
			}
		})
	}
}

func TestNamedTellsWhatIsUnknown(t *testing.T) {
	_, err := Named(shipped(t, "azure"), []string{"Azure Key Vault", "kubernetes", "", "nothing.example"})
	for _, want := range []string{`found "kubernetes", expected the whole name of a service, such as "Azure Kubernetes Service - Kubernetes API"`, `found ""`, `found "nothing.example"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Named = %v, want an error with %q", err, want)
		}
	}
}

// zipped compresses a text.
func zipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := io.WriteString(writer, text); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestInUse(t *testing.T) {
	const vault = `{"qname":"v1.vault.azure.net.","namespace":"vault.azure.net"}` + "\n"
	tests := []struct {
		name, log, want  string
		records, skipped int
		unknown, err     string
	}{
		{"a namespace", vault + vault, "vault.azure.net vaultcore.azure.net", 2, 0, "", ""},
		{"compressed", zipped(t, vault), "vault.azure.net vaultcore.azure.net", 1, 0, "", ""},
		{"a name only", `{"qname":"db1.database.windows.net."}`, "database.windows.net", 1, 0, "", ""},
		{"a name of no namespace", vault + `{"qname":"www.example.org."}` + "\n", "vault.azure.net vaultcore.azure.net", 2, 0, "", ""},
		{"a half written line", vault + `{"qname":"db1.data`, "vault.azure.net vaultcore.azure.net", 1, 1, "", ""},
		{"a line without end", vault + strings.Repeat("x", 3*maxLogLine) + "\n" + vault, "vault.azure.net vaultcore.azure.net", 2, 1, "", ""},
		{"a namespace of another catalog", `{"qname":"v1.vault.example.","namespace":"vault.example"}`, "", 1, 0, "vault.example", ""},
		{"another file", "one\ntwo\n", "", 0, 2, "", "found 2 lines and no record"},
		{"nothing", "", "", 0, 0, "", ""},
		{"a broken archive", "\x1f\x8bxxxxxxxxxx", "", 0, 0, "", "unpacking"},
		{"a cut archive", zipped(t, vault)[:25], "", 0, 0, "", "reading: unexpected EOF"},
	}
	c := shipped(t, "azure")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			selection, usage, err := InUse(c, strings.NewReader(tc.log))
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("InUse = %v, want %q", err, tc.err)
			}
			if got := strings.Join(selection.Domains(), " "); got != tc.want {
				t.Errorf("InUse selects %q, want %q", got, tc.want)
			}
			if usage.Records != tc.records || usage.Skipped != tc.skipped || strings.Join(usage.Unknown, " ") != tc.unknown {
				t.Errorf("InUse counts %+v, want %d records, %d skipped, unknown %q", usage, tc.records, tc.skipped, tc.unknown)
			}
		})
	}
}

func FuzzInUse(f *testing.F) {
	f.Add([]byte(`{"qname":"v1.vault.azure.net.","namespace":"vault.azure.net"}` + "\n{"))
	f.Add([]byte(zipped(f, `{"qname":"db1.database.windows.net."}`)))
	c := shipped(f, "azure")
	all := All(c).Domains()
	f.Fuzz(func(t *testing.T, log []byte) {
		selection, usage, _ := InUse(c, bytes.NewReader(log))
		if len(usage.Unknown) > maxUnknown {
			t.Errorf("InUse remembers %d unknown namespaces, want at most %d", len(usage.Unknown), maxUnknown)
		}
		for _, domain := range selection.Domains() {
			if !slices.Contains(all, domain) {
				t.Errorf("InUse selects %q, which is not in the catalog", domain)
			}
		}
	})
}
