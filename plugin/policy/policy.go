// Package policy decides what may be asked: which clients are served, and
// whether a direct lookup of a privatelink name is answered.
//
// It knows client networks, the catalog and the memory of chains that were
// given out. It knows nothing of packets, upstreams or CoreDNS.
package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Action is what is done with a question.
type Action uint8

// The actions, in the words of the configuration and of the query log.
const (
	// Allow answers as usual.
	Allow Action = iota
	// Audit answers as usual and records that a rule matched.
	Audit
	// Refuse answers REFUSED.
	Refuse
	// NXDomain answers NXDOMAIN.
	NXDomain
	// Withhold keeps back an answer that an upstream gave.
	Withhold
)

var actionNames = []string{Allow: "allow", Audit: "audit", Refuse: "refuse", NXDomain: "nxdomain", Withhold: "withhold"}

// String returns the action as the configuration writes it.
func (a Action) String() string { return actionNames[a] }

// Rejects reports whether the client is not given what DNS holds.
func (a Action) Rejects() bool { return a == Refuse || a == NXDomain || a == Withhold }

// ParseAction reads the configuration's word for what is done with a question:
// any action but Withhold, which is for answers.
func ParseAction(word string) (Action, error) {
	if index := slices.Index(actionNames, word); index >= 0 && Action(index) != Withhold {
		return Action(index), nil
	}
	return Allow, fmt.Errorf("found action %q, expected one of refuse, nxdomain, allow, audit", word)
}

// Actions returns all actions in a fixed order.
func Actions() []Action { return []Action{Allow, Audit, Refuse, NXDomain, Withhold} }

// Rule names why a question was treated as it was.
type Rule uint8

// The rules. The first that applies decides.
const (
	// NoRule: an ordinary question of a client that is served.
	NoRule Rule = iota
	// Malformed: a query that breaks the protocol.
	Malformed
	// UnsupportedOperation: an UPDATE, a NOTIFY or a zone transfer.
	UnsupportedOperation
	// ClientNotServed: the client is denied, or is outside every allowed network.
	ClientNotServed
	// OtherType: a direct lookup of another type than A; never rejected.
	OtherType
	// ZoneApex: a question for the name of a privatelink zone itself; no endpoint has that name.
	ZoneApex
	// LegitimateName: the catalog documents that this name is looked up directly.
	LegitimateName
	// DeclaredResolver: the client is a declared downstream resolver.
	DeclaredResolver
	// Chase: the client follows a chain that it was given.
	Chase
	// Starting: nothing is remembered yet, so this may be a chase.
	Starting
	// Overflow: the memory of chains overflowed, so this may be a chase.
	Overflow
	// DirectLookup: a direct lookup out of the blue, or by a stub.
	DirectLookup
	// MustBePrivate: the answer is public and a name of its chain must be private.
	MustBePrivate
	// UnlinkedAnswer: the answer enters a privatelink zone and ends public.
	UnlinkedAnswer
	// PrivateFromPublic: the answer has a private address and comes from a group that may
	// have none.
	PrivateFromPublic
	// LocallyServed: the name is one that must not leave, and no route wants it.
	LocallyServed
	// Override: an operator said what to answer; nothing else judges that.
	Override
)

var ruleNames = []string{
	NoRule: "none", Malformed: "malformed", UnsupportedOperation: "unsupported-operation", ClientNotServed: "client-not-served", OtherType: "direct-other-type", ZoneApex: "direct-zone-apex",
	LegitimateName: "direct-legitimate-name", DeclaredResolver: "direct-declared-resolver", Chase: "chase",
	Starting: "direct-while-starting", Overflow: "direct-memory-overflow", DirectLookup: "direct-lookup",
	MustBePrivate: "must-be-private", UnlinkedAnswer: "unlinked-answer",
	PrivateFromPublic: "private-from-public", LocallyServed: "locally-served", Override: "override",
}

// String returns the rule as the query log and the metrics write it.
func (r Rule) String() string { return ruleNames[r] }

// Rules returns all rules in a fixed order.
func Rules() []Rule {
	rules := make([]Rule, len(ruleNames))
	for index := range rules {
		rules[index] = Rule(index)
	}
	return rules
}

// Policy is one configuration's set of rules. It is safe for concurrent use
// and must not be changed once it is in use.
type Policy struct {
	// Clients tells each client's class. Not nil.
	Clients *Clients
	// Probe is the address that health probes come from; it is served whatever
	// Clients says. The zero value is nobody.
	Probe netip.Addr
	// Direct is what is done with a direct lookup, by client class.
	Direct [Classes]Action
	// Guard says which answers may be seen.
	Guard Guard
	// Chains remembers which chains were given to whom. Not nil.
	Chains *ChaseMemory
}

// DefaultDirect is what is done with direct lookups where the configuration
// says nothing: declared resolvers are answered, all others refused.
func DefaultDirect() [Classes]Action {
	return [Classes]Action{Other: Refuse, Stub: Refuse, Resolver: Allow}
}

// Decision is what the policy says of a question before it is answered.
type Decision struct {
	// Action is what to do, Rule why.
	Action Action
	Rule   Rule
	// Class is the class of the client.
	Class Class
	// Direct reports that the question's own name lies in a catalogued
	// privatelink zone; Chase that the client follows a chain it was given.
	Direct bool
	Chase  bool
}

// Ask decides whether a client may ask a question. The match is the catalog's
// word on name, which is lower case and fully qualified.
func (p *Policy) Ask(client netip.Addr, name string, qtype uint16, match catalog.Match, now time.Time) Decision {
	decision := Decision{Class: p.Clients.ClassOf(client), Direct: match.Zone != nil}
	switch {
	case decision.Class == Denied && !p.isProbe(client):
		decision.Action, decision.Rule = Refuse, ClientNotServed
	case !decision.Direct:
	case qtype != dns.TypeA:
		decision.Rule = OtherType
		decision.Chase = p.Chains.Remembers(client, name, now) == Remembered
	case match.Labels == dns.CountLabel(name):
		decision.Rule = ZoneApex
	case match.Zone.DirectLegitimate(name):
		decision.Rule = LegitimateName
	default:
		p.askDirect(&decision, client, name, now)
	}
	return decision
}

// RejectsLookups reports whether an A question for a name, asked out of the blue by a
// client of no declared class, is rejected: whoever follows a chain to it, and whom the
// configuration lets look it up, may be answered nevertheless. The match is the
// catalog's word on name, which is lower case and fully qualified.
func (p *Policy) RejectsLookups(name string, match catalog.Match) bool {
	return match.Zone != nil && match.Labels != dns.CountLabel(name) && !match.Zone.DirectLegitimate(name) && p.Direct[Other].Rejects()
}

func (p *Policy) isProbe(client netip.Addr) bool {
	return p.Probe.IsValid() && client.Unmap() == p.Probe
}

// askDirect decides on an A question for a name in a catalogued privatelink
// zone. Where it cannot be sure that this is not a chase it answers: the rule
// is hygiene, and losing a whole company's resolution would be worse.
func (p *Policy) askDirect(decision *Decision, client netip.Addr, name string, now time.Time) {
	decision.Action = p.Direct[decision.Class]
	memory := p.Chains.Remembers(client, name, now)
	// A stub does not chase, whatever it was given.
	decision.Chase = memory == Remembered && decision.Class != Stub
	switch {
	case decision.Class == Resolver:
		decision.Rule = DeclaredResolver
	case decision.Class == Stub:
		decision.Rule = DirectLookup
	case memory == Remembered:
		decision.Action, decision.Rule = Allow, Chase
	case memory == Forgotten:
		decision.Action, decision.Rule = auditUnlessAllowed(decision.Action), Overflow
	case memory == NothingYet:
		decision.Action, decision.Rule = auditUnlessAllowed(decision.Action), Starting
	default:
		decision.Rule = DirectLookup
	}
}

func auditUnlessAllowed(action Action) Action {
	if action == Allow {
		return Allow
	}
	return Audit
}
