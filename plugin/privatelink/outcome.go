package privatelink

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// outcome is everything that was decided about a query. The reply and its
// extended error, the metrics and the query log are all made from this one
// value, so that they cannot disagree.
type outcome struct {
	query    query
	match    catalog.Match
	decision policy.Decision
	// override is the operator's own word on the name; nil for none.
	override *override.Override
	// identity is the EDNS option in which this client may tell who asked it; 0 for none.
	identity uint16
	// route is nil where none was looked for or found.
	route *route

	// answer is what an upstream said just now; nil where none did, be it that there
	// is a kept answer or that rcode and extendedError say why there is none. Then
	// failure holds the attempts.
	answer  *upstream.Answer
	finding verdict.Finding
	// groups are the upstream groups that were asked for it, in the order in which they
	// were heard: those of a fallback and of a chain's tail stand behind the route's.
	groups []askedGroup
	// entry is the answer as it is told, cacheState where it came from; stale is an
	// answer that has expired, for want of a better one.
	entry      cache.Entry
	cacheState cacheState
	stale      cache.Entry
	// group is the group that answered, fallback why it was not the route's.
	group    *upstream.Group
	fallback fallback
	// crossings counts how often the chain changed routes so far; guarded: a
	// name before this one must be private, so no fallback may learn of it.
	crossings int
	guarded   bool
	// flatten: this client is told the answer without its CNAMEs.
	flatten bool
	// withheld: there is an answer and the client is not given it.
	withheld bool
	// truncated: the answer did not fit, and the client is to come by TCP.
	truncated bool

	rcode         int
	extendedError wire.ExtendedError
	failure       error

	// findings are those of the read loop; nil for one who waits.
	findings *findings
}

// answered reports whether there is an answer, kept or new.
func (o *outcome) answered() bool { return o.entry.Exists() }

// tells reports whether the client is given it.
func (o *outcome) tells() bool { return o.answered() && !o.withheld }

// lateAnswer is what one who waits for an answer needs, in one piece of memory that is
// used again.
type lateAnswer struct {
	outcome outcome
	asked   wire.Query
	// room is where the reply is composed.
	room [wire.AdvertisedSize]byte
}

// detach copies an outcome that shares nothing with the read loop then.
func (l *lateAnswer) detach(o *outcome) *outcome {
	l.outcome, l.asked = *o, *o.query.asked
	l.outcome.findings = nil
	l.outcome.query = o.query.detached()
	l.outcome.query.asked = &l.asked
	return &l.outcome
}

func (o *outcome) refuseMalformed(clients *policy.Clients) bool {
	o.decision = policy.Decision{Action: policy.Refuse, Rule: policy.Malformed, Class: clients.ClassOf(o.query.client.Addr())}
	return o.stop(dns.RcodeFormatError, dns.ExtendedErrorCodeOther, "the query is malformed: its records or EDNS options cannot be read, or it has more than one OPT record")
}

func (o *outcome) refuseOperation() bool {
	o.decision.Action, o.decision.Rule = policy.Refuse, policy.UnsupportedOperation
	return o.stop(dns.RcodeRefused, dns.ExtendedErrorCodeNotSupported, "this server forwards questions and holds no zones: no UPDATE, NOTIFY, AXFR or IXFR")
}

// settleWithoutRoute answers for a name that is served here, and refuses any other.
func (s *service) settleWithoutRoute(o *outcome) bool {
	if zone := s.routes.localZoneOf(o.query.name); zone != "" && o.query.qclass == dns.ClassINET {
		return s.serveLocally(o, zone)
	}
	return o.stop(dns.RcodeRefused, dns.ExtendedErrorCodeNotAuthoritative, "no route for this name")
}

// reject answers by policy.
func (o *outcome) reject() bool {
	if o.decision.Rule == policy.ClientNotServed {
		return o.stop(dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "this client is not served here")
	}
	rcode := dns.RcodeRefused
	if o.decision.Action == policy.NXDomain {
		rcode = dns.RcodeNameError
	}
	return o.stop(rcode, dns.ExtendedErrorCodeBlocked, "direct privatelink lookup; ask for "+o.publicName())
}

// publicName is what the client should have asked for, as exactly as the
// catalog can tell.
func (o *outcome) publicName() string { return publicNameOf(o.query.name, o.match) }

// publicNameOf is what to use in place of a name in a catalogued private zone.
func publicNameOf(name string, match catalog.Match) string {
	if public, derived := match.Zone.PublicName(name); derived {
		return strings.TrimSuffix(public, ".")
	}
	return "the resource's public name under " + match.Namespace.Suffix
}

// fail answers a question that no upstream answered.
func (o *outcome) fail(err error) {
	o.failure = err
	code := dns.ExtendedErrorCodeNoReachableAuthority
	for _, attempt := range o.attempts() {
		if attempt.Err != nil {
			continue
		}
		code = dns.ExtendedErrorCodeNetworkError
		if len(attempt.EDE) > 0 {
			code = attempt.EDE[0].InfoCode // the server knows better (RFC 8914, section 3)
			break
		}
	}
	o.stop(dns.RcodeServerFailure, code, err.Error())
}

// stopAgain tells a failure that is kept, when and why, with the code of what the server
// said of it, if that was more than silence.
func (o *outcome) stopAgain(failure cache.Entry) {
	code := dns.ExtendedErrorCodeCachedError
	if meta := failure.Meta(); meta.Flags&toldError != 0 && meta.ExtendedError != dns.ExtendedErrorCodeNetworkError && meta.ExtendedError != dns.ExtendedErrorCodeNoReachableAuthority {
		code = meta.ExtendedError
	}
	o.stop(dns.RcodeServerFailure, code, failedWithin(failure, o.query.arrived))
}

// failedWithin tells of a kept failure: "failed in the last 0.4 s: 10.0.0.4:53/udp no
// reply". When exactly is not known: silence is kept as old as its question.
func failedWithin(failure cache.Entry, now time.Time) string {
	const tenth = 100 * time.Millisecond
	age := (failure.Age(now) + tenth - 1).Truncate(tenth)
	var room [320]byte
	text := append(room[:0], "failed in the last "...)
	text = strconv.AppendFloat(text, max(age.Seconds(), 0.1), 'f', 1, 64)
	text = append(text, " s: "...)
	before := len(text)
	if text = failure.AppendReason(text); len(text) == before {
		text = text[:before-len(": ")]
	}
	return string(text)
}

// adopt takes over what a shared question brought. It is shared: nothing in it
// may be changed.
func (o *outcome) adopt(landed *outcome) {
	o.answer, o.entry, o.finding, o.groups = landed.answer, landed.entry, landed.finding, landed.groups
	o.group, o.fallback, o.failure = landed.group, landed.fallback, landed.failure
	o.rcode, o.extendedError = landed.rcode, landed.extendedError
}

// toldError marks, in the flags kept with an answer, that the upstream told an
// extended error with it, whose code is kept.
const toldError = 1 << 7

// upstreamError is the extended error to be kept with an answer, and the flags.
func (o *outcome) upstreamError(flags uint8) (code uint16, withError uint8) {
	switch {
	case o.answer == nil && o.extendedError.Present:
		return o.extendedError.Code, flags | toldError
	case o.answer == nil || len(o.answer.EDE) == 0:
		return 0, flags
	}
	return o.answer.EDE[0].InfoCode, flags | toldError
}

// passOnError hands on the extended error that the upstream told with the answer,
// where there is none of our own (RFC 8914 section 3).
func (o *outcome) passOnError() *outcome {
	if meta := o.entry.Meta(); !o.extendedError.Present && meta.Flags&toldError != 0 {
		o.extendedError = wire.ExtendedError{Present: true, Code: meta.ExtendedError, Text: "said upstream " + o.group.Name}
	}
	return o
}

// staleAnswer says that the answer has expired (RFC 8914: 3, and 19 for NXDOMAIN).
func (o *outcome) staleAnswer() {
	code := dns.ExtendedErrorCodeStaleAnswer
	if o.entry.Kind() == cache.NXDomain {
		code = dns.ExtendedErrorCodeStaleNXDOMAINAnswer
	}
	text := "no upstream answered in time; this answer is " + o.entry.Age(o.query.arrived).Truncate(time.Second).String() + " old"
	o.extendedError = wire.ExtendedError{Present: true, Code: code, Text: text}
}

// diagnose tells a person with dig in hand what is wrong with the answer of a
// private endpoint. The answer itself stays as it is. Behind tells the groups that it
// came from, the last of them that of its end.
func (o *outcome) diagnose(behind func(*outcome, cache.Entry) []*upstream.Group) *outcome {
	if o.extendedError.Present {
		return o // it is stale, which matters more
	}
	text, faulty := diagnoses[o.finding.Verdict]
	if o.fallback == afterMissing {
		text, faulty = "missing: upstream UPSTREAM has ZONE but no record for this name; answered from public DNS", true
	}
	if faulty {
		groups := behind(o, o.entry)
		text = strings.NewReplacer("ZONE", o.finding.ZoneName, "UPSTREAM", groups[len(groups)-1].Name).Replace(text)
		o.extendedError = wire.ExtendedError{Present: true, Code: dns.ExtendedErrorCodeOther, Text: text}
	}
	return o
}

var diagnoses = map[verdict.Verdict]string{
	verdict.Unlinked: "unlinked: the chain enters ZONE but ends at a public address; the zone is not linked to the network of upstream UPSTREAM, or the endpoint is somebody else's",
	verdict.Missing:  "missing: upstream UPSTREAM has ZONE but no record for this name; the private endpoint registered none there, or is somebody else's",
}

// withhold keeps an answer back. NODATA with a short SOA is what stops a
// downstream from asking elsewhere: BIND's default, forward first, would answer
// SERVFAIL and REFUSED with the public address.
func (o *outcome) withhold(servfail bool) *outcome {
	o.withheld = true
	rcode := dns.RcodeSuccess
	if servfail {
		rcode = dns.RcodeServerFailure
	}
	text := "withheld: this name must be private and the answer is not"
	switch o.decision.Rule {
	case policy.UnlinkedAnswer:
		text = "withheld: the chain enters " + o.finding.ZoneName + " but ends at a public address"
	case policy.PrivateFromPublic:
		text = "withheld: upstream " + o.answeredBy().Name + " gave a private address, and may give none"
	}
	o.stop(rcode, dns.ExtendedErrorCodeFiltered, text)
	return o
}

// stop ends the search without an answer. It returns true: the outcome is settled.
func (o *outcome) stop(rcode int, code uint16, text string) bool {
	o.rcode = rcode
	o.extendedError = wire.ExtendedError{Present: true, Code: code, Text: text}
	return true
}

// asked reports whether this query itself led to a question upstream: what was
// kept, and what somebody else had asked already, is not told again.
func (o *outcome) asked() bool { return o.cacheState == fromUpstream }

// attempts are the upstream servers that were asked in vain.
func (o *outcome) attempts() []upstream.Attempt {
	if o.answer != nil {
		return o.answer.Attempts
	}
	if failed := (*upstream.FailedError)(nil); errors.As(o.failure, &failed) {
		return failed.Attempts
	}
	return nil
}
