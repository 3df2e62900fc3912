package forwarders

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Selection is a part of a catalog: namespaces, and the private zones that
// their names lead into.
type Selection struct {
	namespaces map[*catalog.Namespace]bool
	zones      map[*catalog.Zone]bool
}

func newSelection() Selection {
	return Selection{namespaces: map[*catalog.Namespace]bool{}, zones: map[*catalog.Zone]bool{}}
}

// All selects everything.
func All(c *catalog.Catalog) Selection {
	s := Of(c.Namespaces()...)
	for _, zone := range c.Zones() {
		s.zones[zone] = true
	}
	return s
}

// Of selects namespaces of a catalog.
func Of(namespaces ...*catalog.Namespace) Selection {
	s := newSelection()
	for _, namespace := range namespaces {
		s.add(namespace)
	}
	return s
}

// Named selects what names name: services ("Azure Key Vault"; case, spaces,
// punctuation and a leading "Azure" do not matter), public suffixes
// ("vault.azure.net") and private zones. The error joins all names that are not
// in the catalog, and proposes what could have been meant.
func Named(c *catalog.Catalog, names []string) (Selection, error) {
	s := newSelection()
	var mistakes []error
	for _, name := range names {
		if !s.addNamed(c, name) {
			mistakes = append(mistakes, unknownName(c, name))
		}
	}
	return s, errors.Join(mistakes...)
}

// Namespaces returns the selected namespaces, sorted by suffix. The slice
// belongs to the caller.
func (s Selection) Namespaces() []*catalog.Namespace {
	return slices.SortedFunc(maps.Keys(s.namespaces), func(a, z *catalog.Namespace) int { return a.Index - z.Index })
}

// Zones returns the private zones of the selection, sorted by name. The slice
// belongs to the caller.
func (s Selection) Zones() []*catalog.Zone {
	return slices.SortedFunc(maps.Keys(s.zones), func(a, z *catalog.Zone) int { return strings.Compare(a.Name, z.Name) })
}

// Domains returns what a downstream server has to forward for the selection,
// sorted, without final dots: what catalog.Forwards is for the whole catalog.
func (s Selection) Domains() []string {
	anchors := map[string]bool{}
	for namespace := range s.namespaces {
		anchors[namespace.Anchor] = true
	}
	domains := maps.Clone(anchors)
	for zone := range s.zones {
		if parent := literalEnd(zone.Parent()); !covered(anchors, parent) {
			domains[parent] = true
		}
	}
	return slices.Sorted(maps.Keys(domains))
}

// covered tells whether a domain or one above it is in the set.
func covered(domains map[string]bool, domain string) bool {
	for found := true; found; _, domain, found = strings.Cut(domain, ".") {
		if domains[domain] {
			return true
		}
	}
	return false
}

// literalEnd is what stands right of the last placeholder of a name in the
// catalog: what a server can forward that knows no placeholders.
func literalEnd(name string) string {
	if end := strings.LastIndex(name, "}."); end >= 0 {
		return name[end+len("}."):]
	}
	return name
}

// Union selects what either selects.
func (s Selection) Union(other Selection) Selection {
	union := newSelection()
	for _, part := range []Selection{s, other} {
		maps.Copy(union.namespaces, part.namespaces)
		maps.Copy(union.zones, part.zones)
	}
	return union
}

func (s Selection) add(namespace *catalog.Namespace) {
	s.namespaces[namespace] = true
	for _, zone := range namespace.Zones {
		s.zones[zone] = true
	}
}

// addNamed adds what a name names, and tells whether that is anything.
func (s Selection) addNamed(c *catalog.Catalog, name string) bool {
	suffix, service := strings.TrimSuffix(strings.TrimSpace(name), "."), ServiceKey(name)
	found := false
	for _, namespace := range c.Namespaces() {
		if strings.EqualFold(namespace.Suffix, suffix) || strings.EqualFold(namespace.Anchor, suffix) || hasService(namespace.Services, service) {
			s.add(namespace)
			found = true
		}
	}
	for _, zone := range c.Zones() {
		switch {
		case strings.EqualFold(zone.Name, suffix):
			s.add(zone.Namespace)
		case !hasService(zone.Services, service):
			continue
		}
		s.zones[zone] = true
		found = true
	}
	return found
}

// hasService tells whether one of the services has a key.
func hasService(services []string, key string) bool {
	return key != "" && slices.ContainsFunc(services, func(s string) bool { return ServiceKey(s) == key })
}

// ServiceKey is what remains of a service's name when case, spaces, punctuation
// and a leading vendor's name are left out: "keyvault" for "Azure Key Vault".
func ServiceKey(name string) string {
	key := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	for _, vendor := range []string{"azure", "microsoft"} {
		if rest, found := strings.CutPrefix(key, vendor); found && rest != "" {
			return rest
		}
	}
	return key
}

// ServiceNames returns the names of all services of a catalog, sorted, each
// once. The slice belongs to the caller.
func ServiceNames(c *catalog.Catalog) []string {
	names := map[string]bool{}
	for _, namespace := range c.Namespaces() {
		for _, service := range namespace.Services {
			names[service] = true
		}
	}
	for _, zone := range c.Zones() {
		for _, service := range zone.Services {
			names[service] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// unknownName says what could have been meant by a name.
func unknownName(c *catalog.Catalog, name string) error {
	key := ServiceKey(name)
	var similar []string
	for _, service := range ServiceNames(c) {
		if key != "" && strings.Contains(ServiceKey(service), key) {
			similar = append(similar, fmt.Sprintf("%q", service))
		}
	}
	if len(similar) == 0 {
		return fmt.Errorf("found %q, expected the name of a service or a public suffix; \"privatelink-dns zones list\" shows them", name)
	}
	return fmt.Errorf("found %q, expected the whole name of a service, such as %s", name, strings.Join(similar, ", "))
}
