package logreport

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// advice says what to do about a zone. An unlinked or a missing name is no
// fault by itself: many partners' resources look so, which have private
// endpoints of their own. The zone's SOA tells the two apart.
func (z *ZoneFault) advice() string {
	network := fmt.Sprintf("the network of upstream %s", cmp.Or(z.Group, "(unknown)"))
	if z.Site != "" {
		network = "the network of site " + z.Site
	}
	if z.Verdict == "missing" {
		return fmt.Sprintf("the zone is linked to %s but has no such record: give the private endpoint its DNS zone group; if the resource is somebody else's, "+
			"set the link's NxDomainRedirect or the route's missing= fallback", network)
	}
	return fmt.Sprintf("link %s to %s; no need if the resource is somebody else's: the zone's SOA tells, azureprivatedns.net means that it is linked", cmp.Or(z.Zone, "the zone"), network)
}

// The shares from which something is told as a finding: a few of anything
// happen on any day. What is more than its share but not leastCount is told and
// alarms nobody: one of twenty is a share of 5 %.
const (
	failingShare  = 0.01
	upstreamShare = 0.02
	leastCount    = 10
)

// graded is a severity for what happened often enough for it, else another.
func graded(happened bool, severity, otherwise Severity) Severity {
	if happened {
		return severity
	}
	return otherwise
}

// findings sums up what needs a look, the gravest first.
func (b *builder) findings(r *Report) []Finding {
	var found []Finding
	note := func(applies bool, severity Severity, advice, text string, values ...any) {
		if applies {
			found = append(found, Finding{Severity: severity, Text: fmt.Sprintf(text, values...), Advice: advice})
		}
	}
	failed := named(r.Rcodes, "SERVFAIL")
	note(share(failed, r.Queries) >= failingShare, graded(failed >= leastCount, Failing, Notice), "see upstreams below",
		"%s of the queries were told SERVFAIL (%s)", percent(share(failed, r.Queries)), grouped(failed))
	for index := range r.Upstreams {
		server := &r.Upstreams[index]
		severity := graded(server.Servfail+server.Failed >= leastCount, Failing, Notice)
		note(server.FailureShare() >= upstreamShare, severity, "ask it: dig @"+hostOf(server.Server)+" example.org",
			"upstream %s of group %s failed %s of its questions", server.Server, cmp.Or(server.Group, "(unknown)"), percent(server.FailureShare()))
	}
	inside := b.withheldInside()
	public := b.tally.withheld.total - inside
	note(public > 0, graded(public >= leastCount, Failing, Wrong), "clients were told NODATA: look at the zone's link and record",
		"%s withheld: what must be private was not", plural(public, "answer"))
	note(inside > 0, Notice, "DNS rebinding, or names that need a route to a group without withhold-private",
		"%s withheld: a public group gave an address inside", plural(inside, "answer"))
	ownUnlinked := named(r.Verdicts, "unlinked") - min(b.tally.partners, named(r.Verdicts, "unlinked"))
	note(ownUnlinked > 0, Wrong, "see zones below for which to link",
		"%s of a privatelink zone ended at a public address (unlinked)", plural(ownUnlinked, "answer"))
	note(named(r.Verdicts, "missing") > 0, Wrong, "see zones below",
		"%s of a privatelink zone said NXDOMAIN (missing)", plural(named(r.Verdicts, "missing"), "answer"))
	note(r.DirectLookups > 0, Wrong, "see direct lookups below for the names to configure in their place",
		"%s of privatelink names by %s", plural(r.DirectLookups, "direct lookup"), atLeast(len(r.DirectClients), "client", b.options.Top))
	fallbacks, stale := b.tally.fallbacks.total, named(r.Caches, "stale")
	note(fallbacks > 0, r.event(fallbacks), "", "%s from a fallback to public DNS", plural(fallbacks, "answer"))
	note(stale > 0, r.event(stale), "the upstreams were too slow or silent", "%s from the cache after its time, stale", plural(stale, "answer"))
	b.note(r, note)
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(gravity[a.Severity], gravity[b.Severity]) })
	return found
}

// gravity orders the severities.
var gravity = map[Severity]int{Failing: 0, Wrong: 1, Notice: 2}

// event is the severity of what helps out on a bad day, and is wrong where it is usual.
func (r *Report) event(count uint64) Severity {
	return graded(count >= leastCount && share(count, r.Queries) >= failingShare, Wrong, Notice)
}

// NeedsAttention reports whether anything that was found fails or is wrong.
func (r *Report) NeedsAttention() bool {
	return slices.ContainsFunc(r.Findings, func(found Finding) bool { return found.Severity != Notice })
}

// note adds what is good to know.
func (b *builder) note(r *Report, note func(applies bool, severity Severity, advice, text string, values ...any)) {
	for _, gap := range r.Gaps {
		note(true, Notice, "was the server stopped, or the log dropped? see its drop counter",
			"the log is silent from %s for %s, about %s", gap.From.Format(time.DateTime), duration(gap.To.Sub(gap.From)), plural(gap.Expected, "line"))
	}
	note(b.tally.overrides.total > 0, Notice, "privatelink-dns override list", "%s by an operator's override", plural(b.tally.overrides.total, "answer"))
	note(len(r.Uncatalogued) > 0, Notice, "add them to a catalog file", "%s with a privatelink label that the catalog does not know", atLeast(len(r.Uncatalogued), "name", b.options.Top))
	note(r.Unreadable > 0, Notice, "", "%s not readable", plural(r.Unreadable, "line"))
}

func named(rows []Count, name string) uint64 {
	for _, row := range rows {
		if row.Name == name {
			return row.Queries
		}
	}
	return 0
}
