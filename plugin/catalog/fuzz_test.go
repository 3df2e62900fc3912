package catalog_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// shipped are the catalogs of zones/, read as files: this package does not
// know the one that embeds them.
func shipped(t testing.TB) []catalog.Source {
	t.Helper()
	var sources []catalog.Source
	for _, name := range []string{"azure.yaml", "azure-usgov.yaml", "azure-china.yaml"} {
		data, err := os.ReadFile("../../zones/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, catalog.Source{Path: name, Data: data})
	}
	return sources
}

// FuzzLoad reads arbitrary data and asks what it gives the obvious questions.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(valid))
	f.Add([]byte(service(`"privatelink.{region}.example.org"`, `"{region}.example.org", example.org`)))
	f.Add([]byte("schema: 1\ncloud: [&a [*a, *a], *a]\nservices: [[[[{}]]]]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		c, err := catalog.Load([]catalog.Source{{Path: "a.yaml", Data: data}}, nil)
		if err != nil {
			if c != nil || err.Error() == "" {
				t.Fatalf("Load = %v, %q, want no catalog and a message", c, err)
			}
			return
		}
		for i, namespace := range c.Namespaces() {
			if namespace.Index != i || len(namespace.Zones) == 0 {
				t.Errorf("namespace %+v at %d", namespace, i)
			}
			if name := fill(namespace.Suffix); c.Match("a."+name).Namespace == nil {
				t.Errorf("Match(%q) = nothing, want at least %q", "a."+name, namespace.Suffix)
			}
		}
		for _, zone := range c.Zones() {
			name := "a." + fill(zone.Name)
			if c.Match(name).Zone == nil {
				t.Errorf("Match(%q) has no zone, want at least %q", name, zone.Name)
			}
			if public, ok := zone.PublicName(name); ok && c.Match(public).Namespace == nil {
				t.Errorf("PublicName(%q) = %q, which is not catalogued", name, public)
			}
		}
		c.Forwards()
	})
}

// fill makes a name of a pattern.
func fill(pattern string) string {
	return regexp.MustCompile(`{[^}]*}`).ReplaceAllString(pattern, "2") + "."
}

// FuzzMatch compares Match with the obvious way to find a name, and holds what
// it finds against what is promised of it.
func FuzzMatch(f *testing.F) {
	c, err := catalog.Load(shipped(f), []string{"resource-manager"})
	if err != nil {
		f.Fatal(err)
	}
	for _, zone := range c.Zones() {
		f.Add("a." + fill(zone.Name))
	}
	for _, namespace := range c.Namespaces() {
		f.Add(fill(namespace.Suffix))
	}
	f.Add(`a\.privatelink.database.windows.net.`)
	f.Add(`a\\.privatelink.privatelink.database.windows.net.`)
	f.Add(strings.Repeat("privatelink.", 30))
	f.Fuzz(func(t *testing.T, name string) {
		match := c.Match(name)
		if _, ok := dns.IsDomainName(name); !ok || !dns.IsFqdn(name) {
			return
		}
		if got, want := describe(match), obvious(c, name); got != want {
			t.Fatalf("Match(%q) = %+v, want %+v", name, got, want)
		}
		if match.Zone == nil {
			return
		}
		if !catalog.HasPrivatelinkLabel(name) {
			t.Errorf("Match(%q) has zone %q, but the name has no such label", name, match.Zone.Name)
		}
		public, ok := match.Zone.PublicName(name)
		if found := c.Match(public); ok && (found.Namespace == nil || found.Zone != nil) {
			t.Errorf("PublicName(%q) = %q, which is %+v, want a public name", name, public, describe(found))
		}
	})
}

// obvious finds a name by trying every pattern.
func obvious(c *catalog.Catalog, name string) found {
	labels := dns.SplitDomainName(name)
	slices.Reverse(labels)
	var best found
	winner := ""
	try := func(pattern string, f found) {
		parts := strings.Split(pattern, ".")
		slices.Reverse(parts)
		f.labels = len(parts)
		if !matchesParts(parts, labels) {
			return
		}
		// At equal length the literal label wins, from the right: brackets
		// sort after letters and digits.
		key := strings.Join(parts, ".")
		if f.labels > best.labels || f.labels == best.labels && key < winner {
			best, winner = f, key
		}
	}
	for _, namespace := range c.Namespaces() {
		try(namespace.Suffix, found{namespace: namespace.Suffix})
	}
	for _, zone := range c.Zones() {
		try(zone.Name, found{namespace: zone.Namespace.Suffix, zone: zone.Name})
	}
	return best
}

// matchesParts compares a name with a pattern, both from right to left.
func matchesParts(parts, labels []string) bool {
	classes := map[string]string{"{partitionId}": `^[0-9]+$`, "{subzone}": `^[a-z0-9-]+$`}
	least := len(parts)
	if strings.HasPrefix(parts[least-1], "{") {
		least++
	}
	if len(labels) < least {
		return false
	}
	for i, part := range parts {
		if !strings.HasPrefix(part, "{") {
			if part != labels[i] {
				return false
			}
			continue
		}
		class := classes[part]
		if class == "" {
			class = `^[a-z0-9]+$`
		}
		if !regexp.MustCompile(class).MatchString(labels[i]) || labels[i] == "privatelink" || labels[i] == "privatelink-global" {
			return false
		}
	}
	return true
}
