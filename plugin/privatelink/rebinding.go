package privatelink

import (
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// foreignGroups are the groups that may give no private address.
func (c *config) foreignGroups(groups map[string]*upstream.Group) map[*upstream.Group]bool {
	foreign := map[*upstream.Group]bool{}
	for name, written := range c.groups {
		if written.withholdPrivate {
			foreign[groups[name]] = true
		}
	}
	return foreign
}

// rebinds reports whether an answer gives a private address to a name that is somebody
// else's: by that, a page from outside would reach machines inside in the name of its
// own site (DNS rebinding). Catalogued names are exempt, the question's and those of its
// chain: a SQL Managed Instance and a private AKS cluster have private addresses in
// public DNS.
func (s *service) rebinds(o *outcome) bool {
	if len(s.foreign) == 0 || !s.foreign[o.answeredBy()] || o.match.Namespace != nil {
		return false
	}
	return !s.entersCatalog(o) && o.findings.reader().Holds(o.entry.Message(), s.notForeign)
}

// answeredBy is the group that gave the answer, kept or new. A kept one of a fallback
// has the route's own group otherwise.
func (o *outcome) answeredBy() *upstream.Group {
	if o.fallback != noFallback {
		return o.route.fallbackGroup(o.fallback)
	}
	return o.group
}

// judgeOrigin keeps an answer back that its group may not give. It reports whether it
// did.
func (s *service) judgeOrigin(o *outcome) (withheld bool) {
	if !s.rebinds(o) {
		return false
	}
	o.decision.Action, o.decision.Rule = policy.Withhold, policy.PrivateFromPublic
	o.withhold(s.withholdServfail)
	return true
}
