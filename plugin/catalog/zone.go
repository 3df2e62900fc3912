package catalog

import (
	"slices"
	"strings"
)

// Zone is one private zone, such as privatelink.database.windows.net. It never
// changes after Load; its methods are safe for concurrent use.
type Zone struct {
	// Name is the zone's name as in the data: lower case, placeholders kept,
	// no final dot ("privatelink.{regionName}.azmk8s.io").
	Name string
	// Namespace is what names of the zone belong to: the zone's public_suffix
	// where the data has one, else the zone's name without its privatelink
	// label where a service that uses the zone publishes that, else the first
	// public suffix of the first such service. It is never nil.
	Namespace *Namespace
	// Services are the services whose private endpoints get names in the zone,
	// sorted, each once.
	Services []string

	pattern *pattern
	// privatelink is which label of pattern is privatelink, counted from 1 at
	// the right.
	privatelink int
	// publicSuffix is what public names of the zone end in, where the data
	// says so; nil means they are found by leaving the label out.
	publicSuffix *pattern
	// public is what PublicSuffixes returns.
	public []string
	// users are the services that use the zone, in the order of the data.
	users []*service
	// direct says that every name of the zone is meant to be looked up as it
	// is; directNames say so of some.
	direct      bool
	directNames []glob
	underivable []glob
}

// PublicName derives the name to be used instead of a name in the zone:
// "v1.privatelink.vaultcore.azure.net." gives "v1.vault.azure.net.". It is
// false where the catalog does not know: for the zone's own name, for names
// that are not in the zone, for names the data calls underivable, and where
// the result would not be below a public suffix of a service that uses the
// zone. Name must be lower case and fully qualified, and so is the result.
func (z *Zone) PublicName(name string) (string, bool) {
	var at labelStarts
	owner, ok := z.owner(name, &at)
	if !ok || owner == "" || matchesAny(z.underivable, owner) {
		return "", false
	}
	public := owner + "." + z.publicEnd(name, &at)
	_, _, err := normalise(public)
	if err != nil || HasPrivatelinkLabel(public) || !z.publishes(public) {
		return "", false
	}
	return public, true
}

// PublicSuffixes returns what public names of the zone may end in, also of names whose
// own PublicName the catalog does not know: every public suffix of the services that use
// the zone and the one that the data gives the zone, lower case and fully qualified, of
// one with placeholders the part right of them. It is sorted and never empty; the slice
// belongs to the catalog and must not be changed.
func (z *Zone) PublicSuffixes() []string { return z.public }

// DirectLegitimate tells whether clients look name up as it is in normal use,
// so that it must not be refused: API servers of AKS private clusters, for
// one. It is false for names that are not in the zone. Name must be lower case
// and fully qualified. It does not allocate.
func (z *Zone) DirectLegitimate(name string) bool {
	var at labelStarts
	owner, ok := z.owner(name, &at)
	if !ok {
		return false
	}
	return z.direct || owner != "" && matchesAny(z.directNames, owner)
}

// Parent is the name right of the zone's privatelink label, as in the data:
// "vaultcore.azure.net" for privatelink.vaultcore.azure.net. A downstream
// server has to forward it where no public suffix covers it, or its second
// question, for the privatelink name, takes another way.
func (z *Zone) Parent() string {
	return z.pattern.spell(z.privatelink-1, 0)
}

// owner is the part of name left of the zone's own name, without the dot
// between: "v1" of "v1.privatelink.vaultcore.azure.net.". It is empty for the
// zone itself, and not ok for a name that is not in the zone. At is filled
// with the labels of the zone and one more.
func (z *Zone) owner(name string, at *labelStarts) (string, bool) {
	if !z.pattern.holds(name, at) {
		return "", false
	}
	return strings.TrimSuffix(name[:at[len(z.pattern.labels)]], "."), true
}

// publicEnd is what stands in a public name where a private one has the zone's
// name.
func (z *Zone) publicEnd(name string, at *labelStarts) string {
	if z.publicSuffix == nil {
		zone, after := at[len(z.pattern.labels)], at[z.privatelink-1]
		return name[zone:at[z.privatelink]] + name[after:]
	}
	var end strings.Builder
	for _, label := range slices.Backward(z.publicSuffix.labels) {
		switch d := z.pattern.find(label.placeholder); {
		case label.placeholder == nil:
			end.WriteString(label.text + ".")
		case d > 0:
			end.WriteString(at.label(name, d) + ".")
		}
		// A placeholder which the zone lacks is filled by the owner, to the
		// left of it: "c1.eastus" + "{region}.redis.azure.net".
	}
	return end.String()
}

// publishes tells whether a public name is below what the services that use
// the zone publish, or the one suffix the data gives.
func (z *Zone) publishes(public string) bool {
	if z.publicSuffix != nil {
		return z.publicSuffix.isAbove(public)
	}
	return slices.ContainsFunc(z.users, func(s *service) bool {
		return slices.ContainsFunc(s.suffixes, func(p *pattern) bool { return p.isAbove(public) })
	})
}

// matchesAny tells whether one of the globs matches an owner.
func matchesAny(globs []glob, owner string) bool {
	return slices.ContainsFunc(globs, func(g glob) bool { return g.matches(owner) })
}
