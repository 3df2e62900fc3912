package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// respondent is who is asked again.
type respondent struct {
	name string
	ask  func(ctx context.Context, question logreport.Question) (logreport.Answer, error)
	// place is nil where all questions come from one client.
	place func(key []byte, client netip.Addr, direct bool) []byte
	close func()
}

func (o *replayOptions) respondent() (*respondent, error) {
	if o.against != "" {
		return o.otherServer()
	}
	if _, err := netip.ParseAddr(o.client); err != nil {
		return nil, fmt.Errorf("--client: found %q, expected an IP address", o.client)
	}
	stanza, opened, err := openStanza(o.corefile, o.stanza)
	if err != nil {
		return nil, err
	}
	ask := func(ctx context.Context, question logreport.Question) (logreport.Answer, error) {
		request := privatelink.ExplainRequest{Name: question.Name, Type: question.Type, Client: o.clientOf(question)}
		record, err := opened.Resolve(ctx, request, mayBeChase[question.Answer.Rule])
		if err != nil {
			return logreport.Answer{}, err
		}
		return answerOf(record), nil
	}
	return &respondent{name: stanza.Where(), ask: ask, place: opened.AppendPlace, close: opened.Close}, nil
}

// mayBeChase are the rules of direct lookups that were answered because the client was, or
// may have been, given a chain that leads there.
var mayBeChase = map[string]bool{"chase": true, "direct-while-starting": true, "direct-memory-overflow": true}

// answerOf is the answer in a record of the query log.
func answerOf(record *querylog.Record) logreport.Answer {
	return logreport.Answer{
		Rcode: rcodeNamed(int(record.Rcode)), Verdict: record.Verdict, Rule: record.PolicyRule, Action: record.PolicyAction,
		Chain: record.Chain, Addresses: record.Answers, Error: record.Error,
	}
}

func rcodeNamed(rcode int) string {
	if name, known := dns.RcodeToString[rcode]; known {
		return name
	}
	return "RCODE" + strconv.Itoa(rcode)
}

// otherServer is a DNS server that is asked from here.
type otherServer struct {
	group   *upstream.Group
	catalog *catalog.Catalog
	strict  bool
}

func (o *replayOptions) otherServer() (*respondent, error) {
	targets, err := parseTargets([]string{o.against})
	if err != nil {
		return nil, fmt.Errorf("--against: found %q, expected an IP address with an optional port, such as 10.1.0.5", o.against)
	}
	loaded, err := o.catalog.load()
	if err != nil {
		return nil, err
	}
	server := upstream.NewServer(targets[0])
	other := &otherServer{group: &upstream.Group{Name: targets[0].String(), Servers: []*upstream.Server{server}}, catalog: loaded, strict: o.strict}
	return &respondent{name: targets[0].String(), ask: other.ask, close: server.Close}, nil
}

// otherServerTime is how long its clients wait for a server.
const otherServerTime = 4 * time.Second

func (s *otherServer) ask(ctx context.Context, question logreport.Question) (logreport.Answer, error) {
	qtype, known := typeNamed(question.Type)
	if !known {
		return logreport.Answer{}, fmt.Errorf("found type %q, expected one such as A or TYPE65280", question.Type)
	}
	ctx, cancel := context.WithTimeout(ctx, otherServerTime)
	defer cancel()
	reply, err := s.group.Exchange(ctx, upstream.Question{Name: question.Name, Type: qtype, Class: dns.ClassINET})
	switch {
	case errors.Is(err, upstream.ErrQuestion):
		return logreport.Answer{}, err
	case err != nil:
		return failureOf(err), nil
	}
	finding := verdict.Of(question.Name, qtype, reply.Msg, s.catalog, verdict.PrivateNetworks())
	answer := logreport.Answer{Rcode: rcodeNamed(reply.Msg.Rcode), Verdict: finding.Verdict.String(), Action: actionOf(reply.EDE), Addresses: finding.Chain.Addresses}
	for _, link := range finding.Chain.Links {
		answer.Chain = append(answer.Chain, link.Target)
	}
	s.adopt(&answer, &question.Answer)
	return answer, nil
}

// adopt takes the meaning of an answer from the log where the addresses are the same: the
// log's server may know private networks that we do not, and the other may leave the
// CNAMEs out.
func (s *otherServer) adopt(answer, before *logreport.Answer) {
	here, there := slices.Clone(answer.Addresses), slices.Clone(before.Addresses)
	slices.SortFunc(here, netip.Addr.Compare)
	slices.SortFunc(there, netip.Addr.Compare)
	if len(here) == 0 || !slices.Equal(here, there) {
		return
	}
	answer.Verdict = before.Verdict
	if !s.strict {
		answer.Chain = before.Chain
	}
}

// failureOf is the answer of a server that gave none: what it said, or that it is
// silent.
func failureOf(err error) logreport.Answer {
	answer := logreport.Answer{Rcode: rcodeNamed(dns.RcodeServerFailure), Error: err.Error()}
	if failed := (*upstream.FailedError)(nil); errors.As(err, &failed) {
		for _, attempt := range failed.Attempts {
			if attempt.Err == nil {
				answer.Rcode, answer.Action = rcodeNamed(attempt.Rcode), actionOf(attempt.EDE)
			}
		}
	}
	return answer
}

// actionOf is what another server's policy did, as its extended error tells (RFC 8914).
func actionOf(errors []dns.EDNS0_EDE) string {
	for _, told := range errors {
		switch told.InfoCode {
		case dns.ExtendedErrorCodeFiltered:
			return "withhold"
		case dns.ExtendedErrorCodeBlocked, dns.ExtendedErrorCodeProhibited, dns.ExtendedErrorCodeCensored:
			return "refuse"
		}
	}
	return ""
}

// typeNamed reads a type as the log writes it (RFC 3597 section 5).
func typeNamed(name string) (qtype uint16, known bool) {
	if qtype, known = dns.StringToType[name]; known {
		return qtype, true
	}
	number, isGeneric := strings.CutPrefix(name, "TYPE")
	parsed, err := strconv.ParseUint(number, 10, 16)
	return uint16(parsed), isGeneric && err == nil
}
