package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// header is lines 1 to 3 of most cases, one service from line 4 on.
const (
	header = "schema: 1\ncloud: sample\nservices:\n"
	valid  = header + `  - service: Azure SQL Database
    private_zones: [privatelink.database.windows.net]
    public_suffixes: [database.windows.net]
`
)

// service is a document of one service with its zone and its suffix from the
// case, zone in line 5 and suffix in line 6.
func service(zone, suffix string) string {
	return fmt.Sprintf("%s  - service: Sample\n    private_zones: [%s]\n    public_suffixes: [%s]\n", header, zone, suffix)
}

// rejection is a source that does not load, and parts of the error.
type rejection struct {
	name, data string
	want       []string
}

func TestLoadRejectsForm(t *testing.T) {
	checkRejections(t, []rejection{
		{"nothing", "", []string{"a.yaml:1: found nothing, expected a catalog"}},
		{"comment only", "# nothing\n", []string{"a.yaml:1: found nothing, expected a catalog"}},
		{"no services", "schema: 1\ncloud: sample\n", []string{"found no services in a.yaml, expected at least one"}},
		{"null", "~", []string{"a.yaml:1: found nothing, expected a catalog"}},
		{"a list", "[]", []string{"a.yaml:1: found a list, expected a catalog"}},
		{"a word", "words", []string{`a.yaml:1: found "words", expected a catalog`}},
		{"no YAML", "schema: 1\ncloud: [\n", []string{"a.yaml:", "expected YAML"}},
		{"two documents", valid + "---\nschema: 1\n", []string{"a.yaml:7: found a second document, expected one"}},
		{"broken second document", valid + "---\n[", []string{"a.yaml:", "expected YAML"}},
		{"unknown schema", "schema: 2\ncloud: sample\n", []string{`a.yaml:1: found schema "2", expected 1`}},
		{"missing fields", "services: []\n", []string{`a.yaml:1: found a catalog without field "schema", expected it`, `a.yaml:1: found a catalog without field "cloud", expected it`}},
		{"unknown field", valid + "zone: []\n", []string{`a.yaml:7: found "zone" in a catalog, expected one of schema, cloud, services, zones`}},
		{"unknown field of a service", valid + "    suffix: x\n", []string{`a.yaml:7: found "suffix" in a service, expected one of service, category,`}},
		{"field twice", valid + "    note: x\n    note: y\n", []string{`a.yaml:8: found field "note" twice in a service, expected it once`}},
		{"key that is no word", valid + "[a]: b\n", []string{"a.yaml:7: found a list in a catalog, expected one of"}},
		{"services is no list", "schema: 1\ncloud: x\nservices: {}\n", []string{"a.yaml:3: found a mapping, expected a list"}},
		{"service is no mapping", header + "  - x\n", []string{`a.yaml:4: found "x", expected a service`}},
		{"service without names", header + "  - service: x\n", []string{`a.yaml:4: found a service without field "private_zones"`, `a.yaml:4: found a service without field "public_suffixes"`}},
		{"empty list", service("", "a.example.org"), []string{"a.yaml:5: found an empty list, expected at least one entry"}},
		{"number", service("privatelink.example.org", "7"), []string{`a.yaml:6: found "7", expected text`}},
		{"empty text", service("privatelink.example.org", `""`), []string{`a.yaml:6: found "", expected text`}},
		{"alias", header + "  - service: &a Sample\n    private_zones: [privatelink.example.org]\n    public_suffixes: [*a]\n", []string{"a.yaml:6: found an alias, expected text"}},
		{"merge key", valid + "    <<: {note: x}\n", []string{`a.yaml:7: found "<<" in a service, expected one of`}},
		{"long value", service("privatelink.example.org", strings.Repeat("a", 300)), []string{`aaa..."`, "expected at most 253 characters"}},
	})
}

func TestLoadRejectsNames(t *testing.T) {
	checkRejections(t, []rejection{
		{"zone without label", service("database.windows.net", "database.windows.net"), []string{`a.yaml:5: found "database.windows.net", expected a private zone`}},
		{"zone with lookalike", service("xprivatelink.windows.net", "windows.net"), []string{`a.yaml:5: found "xprivatelink.windows.net", expected a private zone`}},
		{"zone with two labels", service("privatelink.privatelink.windows.net", "windows.net"), []string{"a.yaml:5: ", "with one label privatelink"}},
		{"zone of a top-level domain", service("privatelink.net", "windows.net"), []string{`a.yaml:5: found "privatelink.net", expected a private zone`}},
		{"suffix with label", service("privatelink.example.org", "privatelink.example.org"), []string{`a.yaml:6: found "privatelink.example.org", expected a public suffix`}},
		{"top-level domain", service("privatelink.example.org", "org"), []string{`a.yaml:6: found "org", expected at least 2 labels without placeholder on the right`}},
		{"placeholder on the right", service("privatelink.example.org", `"example.{region}.org"`), []string{"a.yaml:6: ", "expected at least 2 labels"}},
		{"unknown placeholder", service("privatelink.example.org", `"{zone}.example.org"`), []string{"a.yaml:6: ", "{cachename}, {dnsPrefix}"}},
		{"placeholder in a label", service("privatelink.example.org", `"{region}-x.example.org"`), []string{"a.yaml:6: ", "to stand alone between dots"}},
		{"placeholder in another case", service("privatelink.example.org", `"{regionname}.example.org"`), []string{"a.yaml:6: ", "{regionName}"}},
		{"wildcard", service("privatelink.example.org", `"*.example.org"`), []string{`a.yaml:6: found "*.example.org", expected labels of letters`}},
		{"empty label", service("privatelink.example.org", "a..example.org"), []string{`a.yaml:6: found "a..example.org", expected no empty label`}},
		{"long label", service("privatelink.example.org", strings.Repeat("a", 64)+".example.org"), []string{"a.yaml:6: ", "at most 63 characters"}},
		{"other characters", service("privatelink.example.org", "bücher.example.org"), []string{"a.yaml:6: ", "expected labels of letters"}},
		{"same names by other placeholders", service("privatelink.example.org", `"{region}.example.org", "{regionName}.example.org"`), []string{`a.yaml:6: found "{regionName}.example.org", expected "{region}.example.org" as at a.yaml:6: both match the same names`}},
	})
}

func TestLoadRejectsFacts(t *testing.T) {
	checkRejections(t, []rejection{
		{"unknown zone", valid + "zones:\n  - zone: privatelink.example.org\n", []string{`a.yaml:8: found zone "privatelink.example.org", expected a zone that a service has`}},
		{"zone twice", valid + "zones:\n  - zone: privatelink.database.windows.net\n  - zone: PrivateLink.database.windows.net.\n", []string{`a.yaml:9: found zone "privatelink.database.windows.net" twice, expected it once: also at line 8`}},
		{"zone without name", valid + "zones:\n  - note: x\n", []string{`a.yaml:8: found a zone without field "zone"`}},
		{"public suffix of nobody", valid + "zones:\n  - zone: privatelink.database.windows.net\n    public_suffix: sql.windows.net\n", []string{`a.yaml:9: found public_suffix "sql.windows.net", expected a public suffix of a service that uses zone "privatelink.database.windows.net"`}},
		{"placeholder nothing fills", service("privatelink.example.org", `"a.{region}.example.org"`) + "zones:\n  - zone: privatelink.example.org\n    public_suffix: \"a.{region}.example.org\"\n", []string{"a.yaml:9: ", "expected its placeholders to be those of zone"}},
		{"direct", valid + "zones:\n  - zone: privatelink.database.windows.net\n    direct: yes please\n", []string{`a.yaml:9: found direct "yes please", expected legitimate`}},
		{"direct twice", valid + "zones:\n  - zone: privatelink.database.windows.net\n    direct: legitimate\n    direct_names: [a]\n", []string{"a.yaml:9: found direct and direct_names for one zone, expected one of them"}},
		{"glob", valid + "zones:\n  - zone: privatelink.database.windows.net\n    direct_names: [\"a?\", \"a..b\"]\n", []string{`a.yaml:9: found "a?", expected letters`, `a.yaml:9: found "a..b", expected no empty label`}},
		{"long glob", valid + "zones:\n  - zone: privatelink.database.windows.net\n    underivable: [" + strings.Repeat("a.", 127) + "a]\n", []string{"a.yaml:9: ", "expected at most 127 labels"}},
	})
}

func checkRejections(t *testing.T, cases []rejection) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c, err := catalog.Load([]catalog.Source{{Path: "a.yaml", Data: []byte(tc.data)}}, nil)
			if err == nil || c != nil {
				t.Fatalf("Load = %v, %v, want no catalog and an error", c, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Load: %q, want it to have %q", err, want)
				}
			}
		})
	}
}

// TestLoadReportsEverything has mistakes of all kinds in two sources and wants
// each of them at once, in the order of the sources.
func TestLoadReportsEverything(t *testing.T) {
	_, err := catalog.Load([]catalog.Source{
		{Path: "a.yaml", Data: []byte(service("example.org", "org") + "zones:\n  - zone: privatelink.example.net\n    direct: x\n  - zones: x\n")},
		{Path: "b.yaml", Data: []byte(strings.Replace(valid, "schema: 1", "schema: x", 1) + "    note: [x]\n")},
	}, []string{"everything"})
	if err == nil {
		t.Fatal("Load = nil, want an error")
	}
	var starts []string
	for line := range strings.Lines(err.Error()) {
		starts = append(starts, line[:strings.Index(line, ": ")])
	}
	want := []string{"a.yaml:10", "a.yaml:10", "a.yaml:5", "a.yaml:6", "b.yaml:1", "b.yaml:7", "a.yaml:8", "found include \"everything\", expected none"}
	if got := strings.Join(starts, " "); got != strings.Join(want, " ") {
		t.Errorf("Load reports %q, want %q\n%v", got, want, err)
	}
}

func TestLoadMerges(t *testing.T) {
	first := catalog.Source{Path: "a.yaml", Data: []byte(valid + "zones:\n  - zone: privatelink.database.windows.net\n    direct_names: [a-*]\n")}
	for _, tc := range []struct {
		name, second string
		check        func(*testing.T, *catalog.Catalog)
	}{
		{"the same again", string(first.Data), func(t *testing.T, c *catalog.Catalog) {
			if len(c.Namespaces()) != 1 || len(c.Zones()) != 1 || len(c.Namespaces()[0].Services) != 1 {
				t.Errorf("%d namespaces, %d zones, services %q, want one of each", len(c.Namespaces()), len(c.Zones()), c.Namespaces()[0].Services)
			}
		}},
		{"facts alone", "schema: 1\ncloud: own\nzones:\n  - zone: privatelink.database.windows.net\n    direct_names: [b-*]\n", func(t *testing.T, c *catalog.Catalog) {
			for _, name := range []string{"a-1", "b-1"} {
				if !c.Zones()[0].DirectLegitimate(name + ".privatelink.database.windows.net.") {
					t.Errorf("DirectLegitimate(%q) = false, want both sources' names", name)
				}
			}
		}},
		{"a further service", service("privatelink.database.windows.net", "sql.example.org"), func(t *testing.T, c *catalog.Catalog) {
			zone := c.Zones()[0]
			if zone.Namespace.Suffix != "database.windows.net" || len(zone.Services) != 2 {
				t.Errorf("zone of namespace %q with services %q, want the natural namespace and both", zone.Namespace.Suffix, zone.Services)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			second := catalog.Source{Path: "b.yaml", Data: []byte(tc.second)}
			for _, sources := range [][]catalog.Source{{first, second}, {second, first}} {
				c, err := catalog.Load(sources, nil)
				if err != nil {
					t.Fatalf("Load: %v", err)
				}
				tc.check(t, c)
			}
		})
	}
}

func TestLoadContradictions(t *testing.T) {
	twoSuffixes := service("privatelink.example.org", "a.example.org, b.example.org")
	rename := func(suffix string) string {
		return "schema: 1\ncloud: own\nzones:\n  - zone: privatelink.example.org\n    public_suffix: " + suffix + "\n"
	}
	for _, tc := range []struct{ name, second, third, want string }{
		{"public suffix", rename("a.example.org"), rename("b.example.org"), `c.yaml:5: found public_suffix "b.example.org", expected "a.example.org" as at b.yaml:5`},
		{"same public suffix", rename("a.example.org"), rename("A.example.org."), ""},
		{"placeholder", service(`"privatelink.{region}.example.org"`, "c.example.org"), service(`"privatelink.{regionCode}.example.org"`, "c.example.org"), `c.yaml:5: found "privatelink.{regionCode}.example.org", expected "privatelink.{region}.example.org" as at b.yaml:5`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := catalog.Load([]catalog.Source{
				{Path: "a.yaml", Data: []byte(twoSuffixes)}, {Path: "b.yaml", Data: []byte(tc.second)}, {Path: "c.yaml", Data: []byte(tc.third)},
			}, nil)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Load: %v, want no error", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Load: %v, want %q", err, tc.want)
			}
		})
	}
}

func TestLoadInclude(t *testing.T) {
	data := valid + `  - service: Azure Resource Manager
    private_zones: [privatelink.azure.com]
    public_suffixes: [azure.com]
    include: resource-manager
zones:
  - zone: privatelink.azure.com
    note: left out with its service
`
	for _, tc := range []struct {
		name    string
		include []string
		want    string
		zones   int
	}{
		{"left out", nil, "", 1},
		{"included", []string{"resource-manager"}, "", 2},
		{"unknown", []string{"resource-manger"}, `found include "resource-manger", expected one of resource-manager`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := catalog.Load([]catalog.Source{{Path: "a.yaml", Data: []byte(data)}}, tc.include)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("Load: %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatalf("Load: %v", err)
			}
			if got := len(c.Zones()); got != tc.zones {
				t.Errorf("Load has %d zones, want %d", got, tc.zones)
			}
		})
	}
}

func TestLoadNothing(t *testing.T) {
	if _, err := catalog.Load(nil, nil); err == nil || !strings.Contains(err.Error(), "found no sources, expected at least one") {
		t.Errorf("Load(nil) = %v, want an error", err)
	}
}

func TestLoadBounds(t *testing.T) {
	zones, suffixes := new(strings.Builder), new(strings.Builder)
	for i := range 101 {
		fmt.Fprintf(zones, "privatelink.a%d.example.org,", i)
		fmt.Fprintf(suffixes, `"a%d.{region}.example.org",`, i)
	}
	for _, tc := range []struct{ name, data, want string }{
		{"zones of a service", service(zones.String(), "example.org"), "a.yaml:4: found 101 private zones in one service, expected at most 100"},
		{"patterns under one suffix", service("privatelink.example.org", suffixes.String()), `found 101 names with placeholders that end in "example.org", expected at most 64`},
		{"size", strings.Repeat("#", 16<<20+1), "a.yaml:1: found 16777217 bytes, expected at most 16777216"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := catalog.Load([]catalog.Source{{Path: "a.yaml", Data: []byte(tc.data)}}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load: %v, want %q", err, tc.want)
			}
		})
	}
}
