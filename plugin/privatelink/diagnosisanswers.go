package privatelink

import (
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// asksLink reports whether the answer is one for which the zone's link was tested.
func (e *explained) asksLink() bool {
	o := e.now
	return o.group != nil && o.finding.ZoneName != "" && (o.finding.Verdict == verdict.Unlinked || o.finding.Verdict == verdict.Missing || o.fallback == afterMissing)
}

// heldInZone reports whether the records at the chain's end are the privatelink
// zone's own: the chain does not go on from there.
func heldInZone(finding verdict.Finding) bool {
	links := finding.Chain.Links
	return len(links) == 0 || links[len(links)-1].Zone != nil
}

// withheldToo says what became of an answer that policy keeps back.
func withheldToo(e *explained) string {
	switch {
	case !e.told.withheld:
		return ""
	case e.told.decision.Rule == policy.UnlinkedAnswer:
		return "; the answer is withheld, since \"unlinked withhold\" is set"
	}
	return "; the answer is withheld, since this name must be private"
}

// diagnoseUnlinked tells why an answer that enters a privatelink zone ends public.
func diagnoseUnlinked(_ *service, e *explained) *Diagnosis {
	o := e.now
	if o.finding.Verdict != verdict.Unlinked || o.fallback == afterMissing {
		return nil
	}
	zone, group := o.finding.ZoneName, o.route.group.Name
	switch {
	case e.link == Linked && heldInZone(o.finding):
		return fault("address-not-private", "the zone %s is linked and holds %s for this name, which is in no range that counts as private: declare the range with \"private NETWORK\" if it is yours, else correct the record%s", zone, addresses(o.finding), withheldToo(e))
	case e.link == Linked:
		return warning("linked-redirected", "the zone %s is linked but holds no record for this name, and its link falls back to the internet: the endpoint registered none there, or it is somebody else's and public is right%s", zone, withheldToo(e))
	case e.link == NotLinked:
		return fault("zone-not-linked", "the chain enters %s but the answer is public: the zone is not linked to the VNet of upstream %s (its SOA there is public DNS's); link it, unless the endpoint belongs to someone else%s", zone, group, withheldToo(e))
	}
	return fault("unlinked", "the chain enters %s but the answer is public: the zone is not linked to the VNet of upstream %s, or the endpoint belongs to someone else%s", zone, group, withheldToo(e))
}

// diagnoseMissing tells why the privatelink zone has no such name.
func diagnoseMissing(_ *service, e *explained) *Diagnosis {
	o := e.now
	zone, group := o.finding.ZoneName, o.route.group.Name
	switch {
	case o.fallback == afterMissing && e.told.withheld:
		return nil
	case o.fallback == afterMissing:
		return warning("missing-answered-publicly", "the zone is linked to the VNet of upstream %s but holds no record for this name, so upstream %s answered from public DNS: right for somebody else's endpoint; one of yours has to be registered", group, o.group.Name)
	case o.finding.Verdict != verdict.Missing:
		return nil
	case e.link == Linked:
		return fault("no-record", "the zone %s is linked to the VNet of upstream %s but holds no record for this name: register the private endpoint there or, if it is somebody else's, set NxDomainRedirect on the link or missing= on the route", zone, group)
	case e.link == NotLinked && e.told.match.Zone != nil:
		return fault("no-such-name", "public DNS does not know this name, and the zone %s is not linked to the VNet of upstream %s: link it, or correct the name", zone, group)
	}
	return fault("missing", "the chain enters %s, where upstream %s finds no such name: the zone holds no record for it, or public DNS has lost it", zone, group)
}

// diagnoseNoResource tells of a catalogued name that exists nowhere.
func diagnoseNoResource(_ *service, e *explained) *Diagnosis {
	o := e.now
	if !o.answered() || o.replyCode() != dns.RcodeNameError || o.match.Namespace == nil || o.finding.ZoneName != "" {
		return nil
	}
	return warning("no-such-resource", "there is no resource of this name in %s: public DNS does not know it, so it is misspelt, deleted, or not yet created", o.match.Namespace.Suffix)
}

// diagnoseOutage tells of an answer that came from the route's way out.
func diagnoseOutage(_ *service, e *explained) *Diagnosis {
	if o := e.now; o.fallback == afterOutage {
		return warning("outage", "no server of upstream %s replies, so upstream %s answered from public DNS, which is right for this name: its chain has no privatelink name", o.route.group.Name, o.group.Name)
	}
	return nil
}

// diagnoseWithheld tells of an answer that policy keeps back for any other reason.
func diagnoseWithheld(_ *service, e *explained) *Diagnosis {
	if !e.told.withheld {
		return nil
	}
	if e.told.decision.Rule == policy.PrivateFromPublic {
		return fault("withheld", "the answer is withheld: upstream %s gave a private address for a name that is not catalogued, and \"withhold-private\" is set on it; if the name is yours, give it a route to a group without that", e.told.answeredBy().Name)
	}
	return fault("withheld", "the answer is withheld: must-private covers this name, and upstream %s answers with %s, which is public; give the resource a private endpoint, or take the name off the list", e.told.route.group.Name, addresses(e.told.finding))
}

// diagnoseNeighbour tells of the server to compare with.
func diagnoseNeighbour(_ *service, e *explained) *Diagnosis {
	if e.other == nil {
		return nil
	}
	name := e.other.group.Name
	if e.other.err != nil {
		return fault("server-fails", "this server has an answer; %s does not: %s", name, e.other.err)
	}
	ours, theirs := e.now.finding.Verdict, e.other.finding.Verdict
	if !e.now.answered() || ours == theirs {
		return nil
	}
	text := "this server's answer is %s, that of %s is %s: it does not ask this server for this name, or keeps an old answer"
	if e.now.match.Namespace != nil {
		return fault("server-differs", text+"; \"privatelink-dns forwarders --services %s\" writes the forwarders for it", ours, name, theirs, e.now.match.Namespace.Suffix)
	}
	return fault("server-differs", text, ours, name, theirs)
}

// diagnoseTwoSites tells of a name that two sites know privately.
func diagnoseTwoSites(_ *service, e *explained) *Diagnosis {
	var know []string
	distinct := map[string]bool{}
	for _, heard := range e.views {
		switch {
		case heard.site && heard.err != nil:
			return warning("site-silent", "site %s did not answer (%s); site %s did, and its answer went out", heard.group.Name, heard.err, e.now.group.Name)
		case heard.site && heard.finding.Verdict == verdict.Private:
			know = append(know, heard.group.Name+" ("+addresses(heard.finding)+")")
			distinct[addresses(heard.finding)] = true
		}
	}
	if len(distinct) < 2 || e.now.group == nil {
		return nil
	}
	return warning("two-authorities", "%s each have a private address for this name: two zones of one name; this client gets that of %s, by clients= and the order on the route", strings.Join(know, " and "), e.now.group.Name)
}

// diagnoseOtherType tells of an AAAA question that fails beside an A question.
func diagnoseOtherType(_ *service, e *explained) *Diagnosis {
	if e.ipv6 == nil || e.ipv6.failure == nil || e.now.query.qtype != dns.TypeA {
		return nil
	}
	return fault("type-refused", "A is answered but AAAA is not: upstream %s says %s, where it should say NODATA; some clients take that for the whole name", e.now.route.group.Name, firstAttempt(e.ipv6))
}

// diagnoseWay tells of an answer that came on another way than the usual one.
func diagnoseWay(_ *service, e *explained) *Diagnosis {
	cause := causeOfSilence(e)
	if cause != nil {
		cause.Severity = Warning
		cause.Text += "; the answer came all the same, later than it could"
	}
	return cause
}

// slowReply is well above any round trip inside a network or over ExpressRoute.
const slowReply = 500 * time.Millisecond

// diagnoseSlow tells of an upstream that answers late.
func diagnoseSlow(_ *service, e *explained) *Diagnosis {
	for _, heard := range e.views {
		if heard.site && heard.err == nil && heard.answer.RTT >= slowReply {
			return warning("slow", "site %s took %s to answer: whatever it alone knows takes as long", heard.group.Name, heard.answer.RTT.Round(time.Millisecond))
		}
	}
	answer := e.now.answer
	if answer == nil || answer.RTT < slowReply {
		return nil
	}
	return warning("slow", "upstream %s (%s) took %s to answer: look at the way there, and at its load", e.now.group.Name, answer.Server, answer.RTT.Round(time.Millisecond))
}

// shortAnswer is less than any answer which does not fit into the 1232 bytes offered.
const shortAnswer = 1232

// diagnoseSize tells of answers that were truncated though they were short enough.
func diagnoseSize(_ *service, e *explained) *Diagnosis {
	answer := e.now.answer
	if answer == nil || answer.Transport != upstream.TCP || len(answer.Wire) == 0 || len(answer.Wire) > shortAnswer {
		return nil
	}
	return warning("truncated-early", "this answer of %d bytes had to be fetched over TCP, though %d are offered over UDP: something between here and %s cuts replies at 512 bytes; let EDNS pass", len(answer.Wire), shortAnswer, answer.Server)
}

// diagnoseUncatalogued tells of a privatelink name that the catalog does not know.
func diagnoseUncatalogued(_ *service, e *explained) *Diagnosis {
	if name := e.now.finding.Uncatalogued; name != "" {
		return warning("uncatalogued", "the chain has the privatelink name %s, whose zone the catalog does not know: add it to a catalog file of your own, and it is guarded like the others", bare(name))
	}
	return nil
}

// diagnoseFine says what a good answer means.
func diagnoseFine(_ *service, e *explained) *Diagnosis {
	o := e.now
	text := map[verdict.Verdict]string{
		verdict.Private: "all is well: the answer is private, " + addresses(o.finding),
		verdict.Public:  "all is well: the answer is public and the chain has no privatelink name, so that no private endpoint exists for it",
		verdict.NoData:  "all is well: the name exists and has no " + dns.Type(o.query.qtype).String() + " record",
		verdict.Other:   "answered as upstream answered: " + rcodeName(o.replyCode()),
	}[o.finding.Verdict]
	if o.finding.Verdict == verdict.Private && o.finding.Zone == nil && o.match.Namespace == nil {
		text = "answered with a private address, " + addresses(o.finding)
	}
	if o.finding.Verdict == verdict.NoData && o.finding.Zone != nil {
		text += ", as every private endpoint answers"
	}
	return &Diagnosis{Fine, string("answered-" + o.finding.Verdict.String()), text}
}
