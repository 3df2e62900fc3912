package privatelink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// ExplainRequest is a question that is to be explained.
type ExplainRequest struct {
	// Name is a domain name in any case, with or without its final dot.
	Name string `json:"name"`
	// Type is a type such as "AAAA"; empty is A.
	Type string `json:"type,omitempty"`
	// Client is who asks; the zero value is 127.0.0.1.
	Client netip.Addr `json:"client,omitzero"`
	// Server is another DNS server that is asked as well, to compare; zero for none.
	Server netip.AddrPort `json:"server,omitzero"`
	// Stanza is where the stanza stands that is to explain, "Corefile:3". It may be
	// empty where there is one only.
	Stanza string `json:"stanza,omitempty"`
}

// read checks a request and returns its question on the wire.
func (r *ExplainRequest) read() (*dns.Msg, error) {
	name := dns.CanonicalName(r.Name)
	// A space may be part of a name, but only people who write it as "\ " mean it.
	slip := strings.Contains(strings.ReplaceAll(r.Name, `\ `, ""), " ") || strings.Contains(r.Name, "://")
	if _, valid := dns.IsDomainName(name); !valid || r.Name == "" || slip {
		return nil, fmt.Errorf("found name %q, expected a domain name such as db1.database.windows.net", r.Name)
	}
	if reverse, err := dns.ReverseAddr(r.Name); err == nil {
		return nil, fmt.Errorf("found address %q, expected a domain name; who has it is told by %s --type PTR", r.Name, reverse)
	}
	if isNonce(name) {
		return nil, fmt.Errorf("found %q, which is a name by which servers look for loops; it cannot be explained", r.Name)
	}
	qtype, known := dns.TypeA, true
	if r.Type != "" {
		qtype, known = typeNamed(strings.ToUpper(r.Type))
	}
	if !known {
		return nil, fmt.Errorf("found type %q, expected one such as A, AAAA, HTTPS, SRV or SOA", r.Type)
	}
	message := new(dns.Msg)
	message.SetQuestion(name, qtype)
	message.SetEdns0(wire.AdvertisedSize, false)
	return message, nil
}

// typeNamed reads the name of a type, also of one that has none (RFC 3597 section 5).
func typeNamed(name string) (qtype uint16, known bool) {
	if qtype, known = dns.StringToType[name]; known {
		return qtype, true
	}
	number, isGeneric := strings.CutPrefix(name, "TYPE")
	parsed, err := strconv.ParseUint(number, 10, 16)
	return uint16(parsed), isGeneric && err == nil
}

// query makes the query of a request, as if it had come in at a time.
func (r *ExplainRequest) query(now time.Time) (query, error) {
	message, err := r.read()
	if err != nil {
		return query{}, err
	}
	asked := new(wire.Query)
	if err := wire.QueryOf(message, false, asked); err != nil {
		return query{}, fmt.Errorf("found %q: %w", r.Name, err)
	}
	client := r.Client.Unmap()
	if !client.IsValid() {
		client = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	question := message.Question[0]
	return query{
		asked: asked, key: cache.KeyOf(asked, ""),
		name: asked.Question.Presentation(), qtype: question.Qtype, qclass: question.Qclass, opcode: dns.OpcodeQuery,
		client: netip.AddrPortFrom(client, 0), transport: "udp", arrived: now, size: message.Len(),
	}, nil
}

// explained is what an explanation is made of.
type explained struct {
	// first is what the policy says before anything else.
	first policy.Decision
	// told is what the client gets; now is what it would get if nothing were kept,
	// the same as told where nothing was.
	told, now *outcome
	// views are what single upstream groups say, the other sites of the route or
	// other groups that may know the name.
	views []view
	// links is whether the zone of the chain is linked, by the group that was asked.
	link    Link
	linkErr error
	// ipv6 is what an AAAA question gets, nil where none was asked.
	ipv6 *outcome
	// reached is what a server that gave no reply does on other ways.
	reached []Reached
	// other is what the server to compare with says, nil for none.
	other *view
}

// explain tells what becomes of a question, and leaves no trace: no grant for a chase,
// no kept answer, no owner of a name, no count, no line in a log. What it asks upstream
// really is asked, and pays from the budget. It takes 15 seconds at most.
func (s *service) explain(ctx context.Context, request ExplainRequest) (*Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	now := s.now()
	q, err := request.query(now)
	if err != nil {
		return nil, err
	}
	e := &explained{link: LinkUnknown}
	e.first = s.policy.Ask(q.client.Addr(), q.name, q.qtype, s.catalog.Match(q.name), now)
	if e.told, err = s.rehearse(ctx, q, true); err != nil {
		return nil, err
	}
	if e.now = e.told; isKept(e.told.cacheState) {
		if e.now, err = s.rehearse(ctx, q, false); err != nil {
			return nil, err
		}
	}
	s.examine(ctx, e, q, request.Server)
	return s.describeExplained(e, now), nil
}

// isKept reports whether an answer or a failure came out of the cache.
func isKept(state cacheState) bool {
	return state == fromCache || state == fromPrefetch || state == fromStale || state == fromFailure
}

// rehearse resolves a query without a trace, with what is kept or as if nothing were.
func (s *service) rehearse(ctx context.Context, q query, kept bool) (*outcome, error) {
	quiet, err := s.traceless(&q, kept)
	if err != nil {
		return nil, err
	}
	return quiet.resolve(ctx, q), nil
}

// tracelessEntries is more than is kept for one name under all its types and views.
const tracelessEntries = 1024

// traceless returns a service that decides as this one does, and remembers on its own.
// It knows what is kept for the query's name, and for the targets of its overrides.
func (s *service) traceless(q *query, kept bool) (*service, error) {
	quiet := *s
	quiet.cache = cache.New(cache.Limits{Entries: tracelessEntries}, rand.Uint64())
	quiet.flights = &flights[flightKey, *outcome]{}
	quiet.owners = &owners{}
	quiet.suspects = make(chan string, cap(s.suspects))
	quiet.hurries = false // nobody asks elsewhere meanwhile, and the cause is worth waiting for
	quiet.asked = nil
	if !kept {
		return &quiet, nil
	}
	name := q.name
	for range maxCrossings + 1 {
		entries, err := s.cache.Lookup(name)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			quiet.cache.Put(entry)
		}
		s.copyOwner(&quiet, q.of(name))
		found, exists := s.overrides.Find(name, q.arrived)
		if !exists || found.CNAME == "" {
			break
		}
		name = found.CNAME
	}
	return &quiet, nil
}

// copyOwner hands on which site is known to own a name.
func (s *service) copyOwner(quiet *service, q query) {
	way := s.routes.find(q.name, s.catalog.Match(q.name))
	if way == nil || way.sites == nil {
		return
	}
	name := ownedName{q.name, s.routes.viewOf(&q)}
	if group := s.owners.find(name, q.arrived); group != "" {
		quiet.owners.remember(name, owner{group: group, until: q.arrived.Add(ownedFor)})
	}
}

// examine asks what a diagnosis needs beside the answer itself.
func (s *service) examine(ctx context.Context, e *explained, q query, other netip.AddrPort) {
	o := e.now
	asked := o.route != nil && o.override == nil && !e.first.Action.Rejects()
	if asked {
		s.askViews(ctx, e)
		s.askLink(ctx, e)
		s.askIPv6(ctx, e, q)
		e.reached = reachSilent(ctx, o.attempts())
	}
	if other.IsValid() {
		e.other = s.askServer(ctx, other, o)
	}
}

// askLink tests the link where the answer is one that an unlinked zone may be the
// reason of.
func (s *service) askLink(ctx context.Context, e *explained) {
	finding, group := e.now.finding, e.now.group
	if group == nil || finding.ZoneName == "" || finding.Verdict != verdict.Unlinked && finding.Verdict != verdict.Missing && e.now.fallback != afterMissing {
		return
	}
	if e.now.fallback != noFallback {
		group = e.now.route.groups()[0] // it was the route's own group that lacked the name
	}
	e.link, e.linkErr = testLink(ctx, group, finding.ZoneName)
}

// askIPv6 asks for AAAA beside A: clients ask for both, and an error with one breaks
// some for both. For other types that failed, A tells whether the name works at all.
func (s *service) askIPv6(ctx context.Context, e *explained, q query) {
	second := q
	switch {
	case q.qtype == dns.TypeA && e.now.answered():
		second.qtype = dns.TypeAAAA
	case q.qtype != dns.TypeA && e.now.failure != nil:
		second.qtype = dns.TypeA
	default:
		return
	}
	question, err := wire.NewQuestion(second.name, second.qtype, second.qclass)
	if err != nil {
		return
	}
	second.key.Question = question
	if o, err := s.rehearse(ctx, second, false); err == nil {
		e.ipv6 = o
	}
}

// askServer asks another server what the client asked, as a client would.
func (s *service) askServer(ctx context.Context, address netip.AddrPort, o *outcome) *view {
	server := upstream.NewServer(address)
	defer server.Close()
	group := &upstream.Group{Name: address.String(), Servers: []*upstream.Server{server}}
	heard := s.askView(ctx, group, o)
	return &heard
}

// loopOf is the loop that was the reason of a failure, nil for none.
func loopOf(err error) *loopError {
	var looping *loopError
	if errors.As(err, &looping) {
		return looping
	}
	return nil
}
