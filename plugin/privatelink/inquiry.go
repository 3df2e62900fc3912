package privatelink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

const (
	// settleTime is how long a private answer waits for a site that is preferred,
	// any answer for a site that is down, and the owner of a name is asked alone.
	settleTime = 200 * time.Millisecond
	// siteTime is how long an answer that is not private waits for a private one.
	siteTime = 1500 * time.Millisecond
)

// phase is how long an inquiry has been going on.
type phase uint8

const (
	eager phase = iota
	settled
	over
)

// worth is how much an answer is preferred to those of other sites.
type worth uint8

const (
	// worthless: no answer.
	worthless worth = iota
	// worthUnknown: the name does not exist, or the chain does not end.
	worthUnknown
	// worthUnlinked is less than worthMissing: a linked zone has the say, and the
	// public answer to a name that it does not hold is the route's missing= to give.
	worthUnlinked
	worthMissing
	worthNoData
	// worthRecords: records, be they public addresses without a privatelink hop.
	worthRecords
	// worthEndpoint is how every private endpoint answers AAAA and HTTPS: the hop
	// and NODATA.
	worthEndpoint
	worthPrivate
)

// inquiry is one question to all sites of a route, in the order in which their
// private answers are preferred.
type inquiry struct {
	words []word
	// owner is the index of the site that is known to own the name; -1 for none.
	owner int
	// kept is the site whose private answer is kept, expired or not; nil for none.
	kept  *upstream.Group
	phase phase
	heard chan word
}

// word is what is known of one site's answer.
type word struct {
	site  int
	group *upstream.Group
	// asked, then one of answer and err.
	asked   bool
	answer  *upstream.Answer
	err     error
	finding verdict.Finding
	worth   worth
	// proof: a catalogued name without a hop has no private endpoint anywhere.
	proof bool
}

func (w word) pending() bool { return w.answer == nil && w.err == nil }

// exposes reports whether the answer may hide a private one of another site: the
// name has a private endpoint somewhere, and this answer is not it.
func (w word) exposes() bool {
	return w.answer != nil && (w.finding.Verdict == verdict.Missing || w.finding.Verdict == verdict.Unlinked)
}

// askRoute puts a question to the route's group or to all its sites. It returns the
// group that gave the answer.
func (s *service) askRoute(ctx context.Context, o *outcome) (*upstream.Answer, *upstream.Group, error) {
	if o.route.sites == nil {
		if err := s.heldBack(o, o.route.group); err != nil {
			return nil, nil, err
		}
		answer, err := o.exchange(ctx, o.route.group)
		return answer, o.route.group, err
	}
	return s.askSites(ctx, o)
}

// askSites asks the site that owns the name, and all where none is known to, until
// it can be told whose answer is right. An answer that may hide another site's
// private one is held back: then the error is a *heldError.
func (s *service) askSites(ctx context.Context, o *outcome) (*upstream.Answer, *upstream.Group, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i := s.newInquiry(o)
	settle, end := time.NewTimer(settleTime), time.NewTimer(siteTime)
	defer settle.Stop()
	defer end.Stop()
	for {
		i.ask(ctx, o.query.question())
		chosen, decided := i.decide()
		if decided {
			s.noteOwner(o, i, chosen)
			return i.outcome(o.route.group.Name, chosen)
		}
		select {
		case heard := <-i.heard:
			o.noteAsked(heard.answer, heard.err, time.Now())
			if heard.err == nil {
				heard.finding = s.findingOf(&o.query, heard.answer.Msg)
				heard.weigh(o.query.qtype, o.match.Namespace != nil, heard.site == i.owner)
			}
			i.words[heard.site] = heard
		case <-settle.C:
			i.phase = max(i.phase, settled)
		case <-end.C:
			i.phase = over
		}
	}
}

func (s *service) newInquiry(o *outcome) *inquiry {
	groups := o.route.sites.ranked(o.query.key.View)
	known := s.owners.find(ownedName{o.query.name, o.query.key.View}, s.now())
	i := &inquiry{words: make([]word, len(groups)), owner: -1, kept: s.keptSite(o), heard: make(chan word, len(groups))}
	for site, group := range groups {
		i.words[site] = word{site: site, group: group, err: s.heldBack(o, group)}
		i.words[site].asked = i.words[site].err != nil
		if group.Name == known && !group.Down() && !i.words[site].asked {
			i.owner = site
		}
	}
	return i
}

// keptSite is the site whose private answer to a question is kept.
func (s *service) keptSite(o *outcome) *upstream.Group {
	kept := s.cache.Get(&o.query.key, s.now()).Entry
	if !kept.Exists() || !o.route.owns(kept) || verdict.Verdict(kept.Meta().Verdict) != verdict.Private {
		return nil
	}
	return o.route.groupOf(kept)
}

// ask asks the sites whose turn it is: the owner first, and all when it has not
// settled the matter by itself, soon enough.
func (i *inquiry) ask(ctx context.Context, question upstream.Question) {
	alone := i.owner >= 0 && i.phase == eager && (i.words[i.owner].pending() || i.words[i.owner].worth >= worthEndpoint)
	for site := range i.words {
		if i.words[site].asked || alone && site != i.owner {
			continue
		}
		i.words[site].asked = true
		asked := i.words[site]
		go func() {
			asked.answer, asked.err = asked.group.Exchange(ctx, question)
			i.heard <- asked
		}()
	}
}

// weigh says what the answer is worth. Of the site that owns the name, NODATA and
// records without addresses are as good as a private address.
func (w *word) weigh(qtype uint16, catalogued, owner bool) {
	meaning := w.finding.Verdict
	w.worth, w.proof = worths[meaning], w.proves(catalogued)
	switch {
	case meaning == verdict.Other && w.answer.Msg.Rcode != dns.RcodeSuccess:
		w.worth = worthUnknown
	case meaning == verdict.NoData && w.finding.Zone != nil && endpointsLack(qtype):
		w.worth = worthEndpoint
	case owner && (meaning == verdict.NoData || meaning == verdict.Other) && !wantsAddresses(qtype):
		w.worth = worthEndpoint
	}
}

// wantsAddresses reports whether a private endpoint has records of a type.
func wantsAddresses(qtype uint16) bool { return qtype == dns.TypeA || qtype == dns.TypeANY }

// proves reports whether the answer proves of a catalogued name that it has no
// private endpoint: public DNS leads every name that has one over the hop.
func (w *word) proves(catalogued bool) bool {
	known := w.finding.Verdict == verdict.Public || w.finding.Verdict == verdict.NoData
	return catalogued && w.finding.Zone == nil && (known || w.answer.Msg.Rcode == dns.RcodeNameError)
}

var worths = [...]worth{
	verdict.Other: worthRecords, verdict.Private: worthPrivate, verdict.Public: worthRecords,
	verdict.Unlinked: worthUnlinked, verdict.Missing: worthMissing, verdict.NoData: worthNoData,
}

// endpointsLack reports whether no private endpoint has records of a type.
func endpointsLack(qtype uint16) bool {
	return qtype == dns.TypeAAAA || qtype == dns.TypeHTTPS || qtype == dns.TypeSVCB
}

// decide says whose answer counts, -1 for nobody's, or that more must be heard first.
func (i *inquiry) decide() (chosen int, decided bool) {
	best := i.best()
	if best < 0 {
		return best, !slices.ContainsFunc(i.words, word.pending)
	}
	w := &i.words[best]
	switch {
	case i.phase == over, !slices.ContainsFunc(i.words, i.awaited):
		return best, true
	case best == i.owner && w.worth >= worthEndpoint:
		return best, true
	case w.worth == worthPrivate && !slices.ContainsFunc(i.words[:best], word.awaitedFirst):
		return best, true
	}
	return best, i.phase == settled && (w.worth >= worthEndpoint || w.proof && !i.exposed())
}

// best is the index of the answer that is worth most, the first of equals; -1 for none.
func (i *inquiry) best() int {
	best, most := -1, worthless
	for site := range i.words {
		if w := &i.words[site]; w.worth > most {
			best, most = site, w.worth
		}
	}
	return best
}

// awaited reports whether a site may still answer. One that is down is given a
// little time, in which it may return.
func (i *inquiry) awaited(w word) bool {
	return w.pending() && (i.phase == eager || !w.group.Down())
}

// awaitedFirst reports whether a private answer of the site would be preferred to
// one at hand, and may be here in a moment.
func (w word) awaitedFirst() bool { return w.pending() && !w.group.Down() }

// exposed reports whether a site said that the name has a private endpoint, which
// it does not know.
func (i *inquiry) exposed() bool {
	return slices.ContainsFunc(i.words, word.exposes)
}

// mayStillOwn reports whether one of the sites that gave no answer gave the private one
// that is kept, which is not to go because another site does not know the name.
func (i *inquiry) mayStillOwn(unheard []*word) bool {
	return slices.ContainsFunc(unheard, func(w *word) bool { return w.group == i.kept })
}

// unheard are the sites that gave no answer.
func (i *inquiry) unheard() []*word {
	var unheard []*word
	for site := range i.words {
		if i.words[site].answer == nil {
			unheard = append(unheard, &i.words[site])
		}
	}
	return unheard
}

// outcome is what the inquiry came to. The name stands for all sites in errors.
func (i *inquiry) outcome(name string, chosen int) (*upstream.Answer, *upstream.Group, error) {
	unheard := i.unheard()
	if chosen < 0 {
		return nil, nil, joinFailures(name, unheard)
	}
	best := &i.words[chosen]
	if harmless := best.worth == worthNoData || best.worth >= worthEndpoint; !harmless && len(unheard) > 0 && (i.exposed() || i.mayStillOwn(unheard)) {
		return nil, nil, &heldError{answered: best, unheard: unheard}
	}
	for _, w := range unheard {
		best.answer.Attempts = append(best.answer.Attempts, attemptsOf(w.err)...)
	}
	return best.answer, best.group, nil
}

// noteOwner remembers whose private answer was chosen. It is sure where every site
// that is preferred was heard, and forgotten where nobody knows a private one.
func (s *service) noteOwner(o *outcome, i *inquiry, chosen int) {
	name, unheard := ownedName{strings.Clone(o.query.name), o.query.key.View}, i.unheard()
	switch {
	case chosen < 0 || chosen == i.owner && i.words[chosen].worth >= worthEndpoint:
		// Nothing was learnt, or what was known already.
	case i.words[chosen].worth == worthPrivate:
		lasts := ownedFor
		if slices.ContainsFunc(unheard, func(w *word) bool { return w.site < chosen }) {
			lasts = ownedForUncertain
		}
		s.owners.remember(name, owner{group: i.words[chosen].group.Name, until: s.now().Add(lasts)})
	case len(unheard) == 0 && i.words[chosen].worth <= worthMissing:
		s.owners.forget(name)
	}
}

// heldError says that an answer is held back because a site was not heard that may
// know a private one.
type heldError struct {
	answered *word
	unheard  []*word
}

// Error names both sides.
func (e *heldError) Error() string {
	names := make([]string, len(e.unheard))
	for index, w := range e.unheard {
		names[index] = fmt.Sprintf("%q", w.group.Name)
	}
	return fmt.Sprintf("the answer of group %q is %s and is held back, because %s may know a private one and did not answer",
		e.answered.group.Name, e.answered.finding.Verdict, strings.Join(names, " and "))
}

// Unwrap returns why the silent sites did not answer, as far as that is known.
func (e *heldError) Unwrap() []error {
	var errs []error
	for _, w := range e.unheard {
		if w.err != nil {
			errs = append(errs, w.err)
		}
	}
	return errs
}

// joinFailures makes one error of those of all sites. All attempts stand in one
// list, so that whether any server replied can be read from it.
func joinFailures(name string, failed []*word) error {
	joined := &upstream.FailedError{Group: name}
	var others []error
	for _, w := range failed {
		attempts := attemptsOf(w.err)
		joined.Attempts = append(joined.Attempts, attempts...)
		if len(attempts) == 0 {
			others = append(others, fmt.Errorf("group %q: %w", w.group.Name, w.err))
		}
	}
	if len(joined.Attempts) == 0 {
		return errors.Join(others...)
	}
	return errors.Join(append([]error{joined}, others...)...)
}

func attemptsOf(err error) []upstream.Attempt {
	if failed := (*upstream.FailedError)(nil); errors.As(err, &failed) {
		return failed.Attempts
	}
	return nil
}
