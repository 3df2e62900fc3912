package forwarders

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Group is a set of servers that forwarders share: an upstream of ours.
type Group struct {
	Name    string
	Servers []Server
}

// Line is the group as the Corefile has it.
func (g Group) Line() string {
	words := []string{"upstream", g.Name}
	for _, server := range g.Servers {
		words = append(words, server.String())
	}
	if g.isAzure() {
		words = append(words, "budget=azure")
	}
	return strings.Join(words, " ")
}

// isAzure tells whether Azure-provided DNS is asked, which drops what exceeds
// its budget in silence.
func (g Group) isAzure() bool {
	return slices.ContainsFunc(g.Servers, func(s Server) bool { return s.Address.Addr() == azureDNS })
}

// Route is one route of a rules file.
type Route struct {
	// Suffix is a domain as in Rule.Domain; Group the name of its group.
	Suffix, Group string
	// Path and Line are where the forwarder was written.
	Path string
	Line int
}

// Imported is what several configurations come to in ours.
type Imported struct {
	Groups []Group
	// Routes have a suffix each, in the order in which they were read.
	Routes []Route
	Notes  []Note
}

// Combine makes routes and groups of what was read. A forwarder for a catalogued
// privatelink zone becomes a route of its public suffix, since that is what our
// clients ask for; of two for one domain the first is taken. The notes are those
// of the readings and what Combine has to say.
func Combine(c *catalog.Catalog, readings ...Reading) Imported {
	b := combiner{catalog: c, groups: map[string]int{}, names: map[string]int{}, routes: map[string]int{}}
	for _, reading := range readings {
		b.Notes = append(b.Notes, reading.Notes...)
		for _, rule := range reading.Rules {
			if b.convertible(rule) == "" {
				b.add(rule, rule.Domain)
			}
		}
	}
	// What was written for the public suffix itself comes first.
	for _, reading := range readings {
		for _, rule := range reading.Rules {
			if suffix := b.convertible(rule); suffix != "" {
				b.convert(rule, suffix)
			}
		}
	}
	b.sortNotes(readings)
	return b.Imported
}

// sortNotes brings the notes into the order of the files.
func (b *combiner) sortNotes(readings []Reading) {
	order := map[string]int{}
	for at, reading := range readings {
		for _, note := range reading.Notes {
			order[note.Path] = at
		}
		for _, rule := range reading.Rules {
			order[rule.Path] = at
		}
	}
	slices.SortStableFunc(b.Notes, func(a, z Note) int {
		return cmp.Or(cmp.Compare(order[a.Path], order[z.Path]), cmp.Compare(a.Line, z.Line))
	})
}

// combiner builds an Imported.
type combiner struct {
	Imported
	catalog *catalog.Catalog
	// groups finds a group by its servers, routes a route by its suffix.
	groups map[string]int
	// names counts how often a name was wanted.
	names  map[string]int
	routes map[string]int
}

func (b *combiner) note(kind string, rule Rule, format string, values ...any) {
	b.Notes = append(b.Notes, Note{Kind: kind, Path: rule.Path, Line: rule.Line, Text: rule.Domain + ": " + fmt.Sprintf(format, values...)})
}

// convertible returns the public suffix that a forwarder for a privatelink zone
// is about, empty for all others: for zones whose names clients look up as they
// are, for zones the catalog does not know, and for public names.
func (b *combiner) convertible(rule Rule) string {
	name := rule.Domain + "."
	match := b.catalog.Match(name)
	if match.Zone == nil || match.Zone.DirectLegitimate(name) {
		return ""
	}
	// A name that stands for all in the zone; its public name ends in the suffix.
	const every = "a."
	if public, derived := match.Zone.PublicName(every + match.ZoneName(name)); derived {
		return strings.TrimSuffix(strings.TrimPrefix(public, every), ".")
	}
	return match.Namespace.Anchor
}

func (b *combiner) convert(rule Rule, suffix string) {
	at, taken := b.routes[suffix]
	switch {
	case !taken:
		b.note(Changed, rule, "carried over as a route of %s: names in a privatelink zone take the route of their public names", suffix)
		b.add(rule, suffix)
	case b.groupOf(rule) != b.Routes[at].Group:
		b.note(LeftOut, rule, "names in a privatelink zone take the route of their public names, %s, which %s:%d sends to other servers", suffix, b.Routes[at].Path, b.Routes[at].Line)
	}
}

// add makes a route.
func (b *combiner) add(rule Rule, suffix string) {
	if at, taken := b.routes[suffix]; taken {
		if b.groupOf(rule) != b.Routes[at].Group {
			b.note(LeftOut, rule, "%s:%d sends it to other servers, and is taken", b.Routes[at].Path, b.Routes[at].Line)
		}
		return
	}
	b.remark(rule, suffix)
	b.routes[suffix] = len(b.Routes)
	b.Routes = append(b.Routes, Route{Suffix: suffix, Group: b.group(rule, suffix), Path: rule.Path, Line: rule.Line})
}

// remark tells what is worth a look in a route.
func (b *combiner) remark(rule Rule, suffix string) {
	name := suffix + "."
	if match := b.catalog.Match(name); match.Namespace != nil && match.Zone == nil {
		b.note(Remark, rule, "a namespace of the catalog: \"route catalog\" covers it, and this route beats that one; keep it only if its servers see the private zones")
	}
	if match := b.catalog.Match(name); match.Zone == nil && catalog.HasPrivatelinkLabel(name) {
		b.note(Remark, rule, "a privatelink zone that the catalog does not know; its public suffix needs a route as well")
	}
}

// groupOf is the name of the group with a forwarder's servers, empty if there is
// none yet.
func (b *combiner) groupOf(rule Rule) string {
	if at, found := b.groups[serversKey(rule.Servers)]; found {
		return b.Groups[at].Name
	}
	return ""
}

// group finds or makes the group with a forwarder's servers, named after the
// first suffix that needs it.
func (b *combiner) group(rule Rule, suffix string) string {
	if name := b.groupOf(rule); name != "" {
		return name
	}
	made := Group{Name: "default", Servers: rule.Servers}
	switch {
	case made.isAzure():
		made.Name = "azure"
	case suffix != ".":
		made.Name = strings.ReplaceAll(suffix, ".", "-")
	}
	const longest = 40
	base := strings.TrimRight(made.Name[:min(len(made.Name), longest)], "-")
	made.Name = base
	for b.names[made.Name] > 0 {
		b.names[base]++
		made.Name = fmt.Sprintf("%s-%d", base, b.names[base])
	}
	b.names[made.Name]++
	b.groups[serversKey(rule.Servers)] = len(b.Groups)
	b.Groups = append(b.Groups, made)
	return made.Name
}

func serversKey(servers []Server) string {
	var key strings.Builder
	for _, server := range servers {
		key.WriteString(server.String() + " ")
	}
	return key.String()
}
