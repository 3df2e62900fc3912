package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// build makes the catalog of everything added. It may note errors.
func (b *builder) build() *Catalog {
	c := &Catalog{
		namespaces: slices.SortedFunc(maps.Values(b.namespaces), func(a, z *Namespace) int { return cmp.Compare(a.Suffix, z.Suffix) }),
		zones:      slices.SortedFunc(maps.Values(b.zones), func(a, z *Zone) int { return cmp.Compare(a.Name, z.Name) }),
	}
	for i, namespace := range c.namespaces {
		namespace.Index = i
		namespace.Services = serviceNames(b.publishers[namespace.Suffix])
	}
	for _, zone := range c.zones {
		zone.Services = serviceNames(zone.users)
		zone.Namespace = b.namespaces[primary(zone)]
		zone.Namespace.Zones = append(zone.Namespace.Zones, zone)
		zone.public = publicSuffixes(zone)
	}
	for _, namespace := range c.namespaces {
		if len(namespace.Zones) == 0 {
			namespace.Zones = zonesOf(b.publishers[namespace.Suffix])
		}
	}
	b.index(c)
	return c
}

// primary is the public suffix that names of a zone belong to.
func primary(zone *Zone) string {
	if zone.publicSuffix != nil {
		return zone.publicSuffix.text
	}
	// Many services share one zone, blob.core.windows.net above all: the
	// suffix of the same name is the natural one, whoever comes first.
	like := zone.pattern.spell(zone.privatelink-1, 0)
	if left := zone.pattern.spell(len(zone.pattern.labels), zone.privatelink); left != "" {
		like = left + "." + like
	}
	for _, user := range zone.users {
		if user.published[like] {
			return like
		}
	}
	return zone.users[0].suffixes[0].text
}

// publicSuffixes lists the literal ends of all public names of a zone, sorted, each once.
func publicSuffixes(zone *Zone) []string {
	var suffixes []string
	if zone.publicSuffix != nil {
		suffixes = append(suffixes, zone.publicSuffix.anchor+".")
	}
	for _, user := range zone.users {
		for _, suffix := range user.suffixes {
			suffixes = append(suffixes, suffix.anchor+".")
		}
	}
	slices.Sort(suffixes)
	return slices.Compact(suffixes)
}

// serviceNames lists names of services, sorted, each once.
func serviceNames(services []*service) []string {
	names := make([]string, 0, len(services))
	for _, s := range services {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// zonesOf lists the zones of services, sorted, each once.
func zonesOf(services []*service) []*Zone {
	var zones []*Zone
	for _, s := range services {
		zones = append(zones, s.zones...)
	}
	slices.SortFunc(zones, func(a, z *Zone) int { return strings.Compare(a.Name, z.Name) })
	return slices.Compact(zones)
}

// index fills the index: each literal suffix that a pattern ends in gets the
// patterns a name with that suffix may match, the winner first.
func (b *builder) index(c *Catalog) {
	anchored := make(map[string][]candidate)
	add := func(p *pattern, match Match) {
		match.Labels = len(p.labels)
		c.deepest = max(c.deepest, len(p.labels)+1)
		anchored[p.anchor] = append(anchored[p.anchor], candidate{pattern: p, match: match})
	}
	for _, namespace := range c.namespaces {
		add(namespace.pattern, Match{Namespace: namespace})
	}
	for _, zone := range c.zones {
		add(zone.pattern, Match{Namespace: zone.Namespace, Zone: zone})
	}
	// Short anchors first: a longer one takes over what may still match from
	// the next shorter one.
	anchors := slices.SortedFunc(maps.Keys(anchored), func(a, z string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "."), strings.Count(z, ".")), cmp.Compare(a, z))
	})
	for _, anchor := range anchors {
		own := anchored[anchor]
		if len(own) > maxAnchored {
			b.errs = append(b.errs, fmt.Errorf("found %d names with placeholders that end in %q, expected at most %d", len(own), anchor, maxAnchored))
			continue
		}
		inherited, _, _ := c.index.Lookup(anchor + ".")
		if err := c.index.AddSuffix(anchor, winnersFirst(own, inherited)); err != nil {
			b.errs = append(b.errs, fmt.Errorf("indexing %q: %w", anchor, err))
		}
	}
}

// winnersFirst merges two lists of candidates. What follows a literal pattern
// can be left out: a name with this anchor always matches it.
func winnersFirst(own, inherited []candidate) []candidate {
	all := slices.Concat(own, inherited)
	slices.SortFunc(all, func(a, z candidate) int { return a.pattern.compare(z.pattern) })
	literal := slices.IndexFunc(all, func(c candidate) bool { return c.pattern.fixed == len(c.pattern.labels) })
	if literal >= 0 {
		all = all[:literal+1]
	}
	return slices.Clip(all)
}
