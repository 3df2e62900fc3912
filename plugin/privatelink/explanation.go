package privatelink

import (
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Explanation is what becomes of a question, and why. Its fields are in the order of
// the steps that a question passes. Names have their final dot, zones have none.
type Explanation struct {
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Client netip.Addr `json:"client"`
	At     time.Time  `json:"at"`
	// Running tells the server's own memory from a configuration that serves nobody.
	Running bool `json:"running"`

	Policy ExplainedPolicy `json:"policy"`
	// Override is the operator's own word on the name, empty for none.
	Override string `json:"override,omitempty"`
	// Route is nil where none was looked for or found.
	Route *ExplainedRoute `json:"route,omitempty"`
	// Told is the answer that the client gets, Now what it would get if nothing were
	// kept: nil where that is the same.
	Told ExplainedAnswer  `json:"told"`
	Now  *ExplainedAnswer `json:"now,omitempty"`
	// Views are what single groups say: the sites of the route, and where a private
	// address was not found the other groups that may know it.
	Views []ExplainedView `json:"views,omitempty"`
	// Zone is the privatelink zone that the chain enters, Link whether the network of
	// the group that was asked is linked to it; both empty where that was not asked.
	Zone string `json:"zone,omitempty"`
	Link Link   `json:"link,omitempty"`
	// Reached is how servers without a reply do on other ways.
	Reached []Reached `json:"reached,omitempty"`
	// Other is what the server to compare with says, nil for none.
	Other *ExplainedView `json:"other,omitempty"`
	// IPv6 is what becomes of the AAAA question beside the A question, empty where it
	// was not asked.
	IPv6  string         `json:"ipv6,omitempty"`
	Reply ExplainedReply `json:"reply"`

	Diagnosis Diagnosis `json:"diagnosis"`
}

// ExplainedPolicy is whether the question may be asked, and the answer be seen.
type ExplainedPolicy struct {
	// Class is that of the client.
	Class string `json:"class"`
	// Rule and Action decide on the question, FinalRule and FinalAction, once the
	// answer is known, on all.
	Rule        string `json:"rule"`
	Action      string `json:"action"`
	FinalRule   string `json:"final_rule"`
	FinalAction string `json:"final_action"`
}

// ExplainedRoute is who is asked, and why.
type ExplainedRoute struct {
	// Written is the route as it was written: a suffix, =name, or catalog; Where is
	// its place, "Corefile:12".
	Written string `json:"written"`
	Where   string `json:"where,omitempty"`
	// Namespace is that of the catalog, empty for none.
	Namespace string   `json:"namespace,omitempty"`
	Groups    []string `json:"groups"`
	Missing   string   `json:"missing,omitempty"`
	Outage    string   `json:"outage,omitempty"`
}

// ExplainedAnswer is an answer, kept or new, or the want of one.
type ExplainedAnswer struct {
	// Cache is where it came from: miss, hit, stale, failed or shared; empty where
	// nothing was looked for.
	Cache string `json:"cache,omitempty"`
	// Kind is positive, nodata, nxdomain or failure; Age how old a kept answer is, Left
	// how long it is fresh yet, negative once it has expired.
	Kind string  `json:"kind,omitempty"`
	Age  float64 `json:"age_seconds"`
	Left float64 `json:"left_seconds"`
	// Group is the group that answered.
	Group     string  `json:"group,omitempty"`
	Server    string  `json:"server,omitempty"`
	Transport string  `json:"transport,omitempty"`
	RTT       float64 `json:"rtt_seconds,omitempty"`
	// Attempts are servers that were asked in vain.
	Attempts []string `json:"attempts,omitempty"`
	// Chain is the records of the answer in their order.
	Chain    []ExplainedRecord `json:"chain,omitempty"`
	Rcode    string            `json:"rcode,omitempty"`
	Verdict  string            `json:"verdict,omitempty"`
	Fallback string            `json:"fallback,omitempty"`
	Error    string            `json:"error,omitempty"`
}

// ExplainedRecord is one record of a chain.
type ExplainedRecord struct {
	Name string `json:"name"`
	TTL  uint32 `json:"ttl"`
	Type string `json:"type"`
	Data string `json:"data"`
	// Zone is the catalogued privatelink zone that the data is a name of; Route the
	// route that the tail was asked by, where it is another than the question's.
	Zone  string `json:"zone,omitempty"`
	Route string `json:"route,omitempty"`
	// Private says of an address that it counts as private.
	Private bool `json:"private,omitempty"`
}

// ExplainedView is what a group or server says of the name by itself.
type ExplainedView struct {
	Group   string       `json:"group"`
	Site    bool         `json:"site,omitempty"`
	Verdict string       `json:"verdict,omitempty"`
	Rcode   string       `json:"rcode,omitempty"`
	Address []netip.Addr `json:"addresses,omitempty"`
	RTT     float64      `json:"rtt_seconds,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// ExplainedReply is what the client sees.
type ExplainedReply struct {
	Rcode string `json:"rcode"`
	// EDE is the Extended DNS Error, -1 for none.
	EDE     int    `json:"ede"`
	EDEText string `json:"ede_text,omitempty"`
	// Flattened says that CNAMEs are left out for this client.
	Flattened bool `json:"flattened,omitempty"`
	// Records are the answer section.
	Records []string `json:"records"`
}

// describeExplained puts what was found into words and figures.
func (s *service) describeExplained(e *explained, now time.Time) *Explanation {
	o := e.told
	x := &Explanation{
		Name: o.query.name, Type: dns.Type(o.query.qtype).String(), Client: o.query.client.Addr(), At: now.UTC(),
		Policy: ExplainedPolicy{
			Class: e.first.Class.String(), Rule: e.first.Rule.String(), Action: e.first.Action.String(),
			FinalRule: o.decision.Rule.String(), FinalAction: o.decision.Action.String(),
		},
		Route: s.describeRoute(o),
		Told:  s.describeAnswer(o, now),
		Reply: s.describeReply(o, now),
	}
	if o.override != nil {
		x.Override = o.override.Answer() + ": " + o.override.Explanation(now)
	}
	if e.now != e.told {
		fresh := s.describeAnswer(e.now, now)
		x.Now = &fresh
	}
	for _, heard := range e.views {
		x.Views = append(x.Views, describeView(heard))
	}
	if x.Zone = e.now.finding.ZoneName; x.Zone != "" && e.asksLink() {
		x.Link = e.link
	}
	if e.other != nil {
		other := describeView(*e.other)
		x.Other = &other
	}
	if e.ipv6 != nil && o.query.qtype == dns.TypeA {
		x.IPv6 = describeBrief(e.ipv6)
	}
	x.Reached = e.reached
	x.Diagnosis = s.diagnoseExplained(e)
	return x
}

func (s *service) describeRoute(o *outcome) *ExplainedRoute {
	if o.route == nil {
		return nil
	}
	described := &ExplainedRoute{Written: o.route.label}
	if !o.route.override {
		described.Written, described.Where = s.routes.written(o.query.name, o.match, o.route)
	}
	if o.match.Namespace != nil {
		described.Namespace = o.match.Namespace.Suffix
	}
	for _, group := range o.route.groups() {
		described.Groups = append(described.Groups, group.Name)
	}
	if o.route.missing != nil {
		described.Missing = o.route.missing.Name
	}
	if o.route.outage != nil {
		described.Outage = o.route.outage.Name
	}
	return described
}

func (s *service) describeAnswer(o *outcome, now time.Time) ExplainedAnswer {
	described := ExplainedAnswer{Cache: string(o.cacheState), Fallback: string(o.fallback)}
	if o.group != nil {
		described.Group = o.group.Name
	}
	if o.answer != nil && !isKept(o.cacheState) && o.answer.Server.IsValid() {
		described.Server, described.Transport = o.answer.Server.String(), string(o.answer.Transport)
		described.RTT = o.answer.RTT.Seconds()
	}
	for _, attempt := range o.attempts() {
		described.Attempts = append(described.Attempts, attempt.String())
	}
	described.Error = describeError(o)
	if !o.answered() {
		return described
	}
	described.Kind, described.Rcode = o.entry.Kind().String(), rcodeName(o.entry.Rcode())
	described.Verdict = o.finding.Verdict.String()
	if isKept(o.cacheState) {
		described.Age, described.Left = seconds(o.entry.Age(now)), seconds(o.entry.Expires().Sub(now))
	}
	described.Chain = s.describeChain(o, o.entry)
	return described
}

// describeError is why there is no answer, or when and why there was none: a failure that
// is kept tells it as its extended error. It is empty where there is one.
func describeError(o *outcome) string {
	switch {
	case o.failure != nil:
		return o.failure.Error()
	case o.cacheState == fromFailure && !o.withheld:
		return o.extendedError.Text
	}
	return ""
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func (s *service) describeChain(o *outcome, entry cache.Entry) []ExplainedRecord {
	message := new(dns.Msg)
	if message.Unpack(entry.Message()) != nil {
		return nil
	}
	var chain []ExplainedRecord
	for _, record := range message.Answer {
		header := record.Header()
		described := ExplainedRecord{
			Name: header.Name, TTL: header.Ttl, Type: dns.Type(header.Rrtype).String(),
			Data: strings.TrimPrefix(record.String(), header.String()),
		}
		s.describeTarget(o, record, &described)
		chain = append(chain, described)
	}
	return chain
}

// describeTarget says what the data of a record leads to.
func (s *service) describeTarget(o *outcome, record dns.RR, described *ExplainedRecord) {
	switch record := record.(type) {
	case *dns.CNAME:
		target := dns.CanonicalName(record.Target)
		match := s.catalog.Match(target)
		described.Zone = strings.TrimSuffix(match.ZoneName(target), ".")
		if way := s.routes.find(target, match); match.Namespace != nil && way != nil && o.route != nil && way.group != o.route.group {
			written, where := s.routes.written(target, match, way)
			described.Route = strings.TrimSpace(written + " " + where)
		}
	case *dns.A:
		address, _ := netip.AddrFromSlice(record.A.To4())
		described.Private = s.private.Contain(address)
	case *dns.AAAA:
		address, _ := netip.AddrFromSlice(record.AAAA)
		described.Private = s.private.Contain(address)
	}
}

func (s *service) describeReply(o *outcome, now time.Time) ExplainedReply {
	described := ExplainedReply{Rcode: rcodeName(o.replyCode()), EDE: -1, Flattened: o.flatten && o.tells(), Records: []string{}}
	if o.extendedError.Present {
		described.EDE, described.EDEText = int(o.extendedError.Code), o.extendedError.Text
	}
	reply := new(dns.Msg)
	if reply.Unpack(s.appendReply(nil, o, now)) != nil {
		return described
	}
	for _, record := range reply.Answer {
		described.Records = append(described.Records, strings.ReplaceAll(record.String(), "\t", " "))
	}
	return described
}

func describeView(heard view) ExplainedView {
	described := ExplainedView{Group: heard.group.Name, Site: heard.site}
	if heard.err != nil {
		described.Error = heard.err.Error()
		return described
	}
	described.Verdict, described.Rcode = heard.finding.Verdict.String(), rcodeName(heard.answer.Msg.Rcode)
	described.Address, described.RTT = heard.finding.Chain.Addresses, heard.answer.RTT.Seconds()
	return described
}

// describeBrief is an outcome in a few words.
func describeBrief(o *outcome) string {
	switch {
	case o.answered() && !o.withheld:
		return rcodeName(o.replyCode()) + ", " + o.finding.Verdict.String()
	case o.failure != nil:
		return rcodeName(o.replyCode()) + ", " + o.failure.Error()
	}
	return rcodeName(o.replyCode()) + ", " + o.extendedError.Text
}

// written is the route of a name as it was written, and its place.
func (r *routes) written(name string, match catalog.Match, way *route) (written, where string) {
	suffix := r.suffixOf(name, match)
	for index := range r.probed {
		each := &r.probed[index]
		switch {
		case each.way != way:
		case each.suffix == suffix:
			return strings.TrimSuffix(suffix, ".") + rootDot(suffix), each.where
		case each.suffix == "":
			written, where = "catalog", each.where
		}
	}
	return written, where
}

// rootDot keeps the name of the root a name.
func rootDot(suffix string) string {
	if suffix == "." {
		return "."
	}
	return ""
}
