package policy

import (
	"slices"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// Guard says which answers may be seen. The zero value lets every answer
// through. It is safe for concurrent use and must not be changed once in use.
type Guard struct {
	// MustBePrivate are the names and suffixes for which any answer with an
	// address that is not private is withheld. The values mean nothing.
	MustBePrivate catalog.Suffixes[struct{}]
	// Unlinked is what is done with answers that enter a privatelink zone and
	// end public: Allow, Audit or Withhold. They are no fault by themselves:
	// many partners' names look so.
	Unlinked Action
}

// Protects reports whether any name of a question's chain must be private: the
// question's own name, every name that CNAMEs led over, and the public name of
// those that lie in a privatelink zone, so that a chase cannot slip past. Where the
// catalog cannot derive that public name, it may be any one below the public suffixes of
// the zone, and must be private if one of those must.
func (g *Guard) Protects(name string, chain verdict.Chain, zones *catalog.Catalog) bool {
	if g.MustBePrivate.Len() == 0 {
		return false
	}
	if g.protectsName(name, zones) {
		return true
	}
	for _, link := range chain.Links {
		if g.protectsName(link.Target, zones) {
			return true
		}
	}
	return false
}

func (g *Guard) protectsName(name string, zones *catalog.Catalog) bool {
	if _, _, found := g.MustBePrivate.Lookup(name); found {
		return true
	}
	zone := zones.Match(name).Zone
	if zone == nil {
		return false
	}
	public, derived := zone.PublicName(name)
	if !derived {
		return slices.ContainsFunc(zone.PublicSuffixes(), g.MustBePrivate.Touches)
	}
	_, _, found := g.MustBePrivate.Lookup(public)
	return found
}

// Judge decides whether an answer may be seen. Protected is what Protects says
// of its chain. NODATA is never withheld: every healthy private endpoint
// answers AAAA so.
func (g *Guard) Judge(meaning verdict.Verdict, protected bool) (Action, Rule) {
	switch {
	case protected && (meaning == verdict.Public || meaning == verdict.Unlinked):
		return Withhold, MustBePrivate
	case meaning == verdict.Unlinked && g.Unlinked != Allow:
		return g.Unlinked, UnlinkedAnswer
	default:
		return Allow, NoRule
	}
}
