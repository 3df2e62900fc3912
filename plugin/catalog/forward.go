package catalog

import (
	"maps"
	"slices"
)

// Forwards returns what a downstream server has to forward so that every
// catalogued name reaches us, sorted, without final dots: the Anchor of every
// namespace, and the parent of every private zone that lies below none of
// them. Without those parents a server that follows a CNAME to a private name
// itself would ask for it elsewhere. Private zones are never in the list. An
// entry can be broader than what Match finds, as servers know no placeholders:
// "azmk8s.io" stands for "{regionName}.azmk8s.io". The slice belongs to the
// caller.
func (c *Catalog) Forwards() []string {
	forwards := make(map[string]bool)
	var covered Suffixes[bool]
	for _, namespace := range c.namespaces {
		forwards[namespace.Anchor] = true
		// A second namespace of the same anchor is no error here.
		_ = covered.AddSuffix(namespace.Anchor, true)
	}
	for _, zone := range c.zones {
		parent := zone.pattern.spell(min(zone.pattern.fixed, zone.privatelink-1), 0)
		if _, _, ok := covered.Lookup(parent + "."); !ok {
			forwards[parent] = true
		}
	}
	return slices.Sorted(maps.Keys(forwards))
}
