package replay

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// State is what became of a question, in a word: a verdict, or why there is none.
type State string

// The states that are no verdicts.
const (
	// Failed: nobody answered, or with an error.
	Failed State = "failed"
	// Refused: policy did not let it be asked, or the server asked refused it.
	Refused State = "refused"
	// Withheld: there was an answer and the client was not given it.
	Withheld State = "withheld"
	// NXDomain: the name does not exist, and no privatelink zone is in its chain.
	NXDomain State = "nxdomain"

	private  State = "private"
	public   State = "public"
	unlinked State = "unlinked"
	missing  State = "missing"
	nodata   State = "nodata"
	other    State = "other"
)

// StateOf is the state of an answer.
func StateOf(answer *logreport.Answer) State {
	switch {
	case answer.Action == "withhold":
		return Withheld
	case answer.Rejected(), answer.Rcode == "REFUSED":
		return Refused
	case answer.Failed():
		return Failed
	case answer.Rcode == "NXDOMAIN" && answer.Verdict != string(missing):
		return NXDomain
	case answer.Verdict == "":
		return other
	}
	return State(answer.Verdict)
}

// Kind is how an answer changed. The lower, the worse.
type Kind uint8

// The kinds.
const (
	// Exposed: private before, or withheld, and public now.
	Exposed Kind = iota
	// Failing: an answer before, none now.
	Failing
	// Lost: addresses or other records before, no such name or type now.
	Lost
	// Refusal: answered before, refused or withheld by policy now.
	Refusal
	// Moved: other private addresses.
	Moved
	// Elsewhere: public, from another place.
	Elsewhere
	// Different is every other change.
	Different
	// Answered: refused, failed or not found before, answered now.
	Answered
	// Covered: private now, and not so before.
	Covered

	// Kinds is the number of kinds.
	Kinds
)

var kindNames = [Kinds]string{
	Exposed: "exposed", Failing: "failing", Lost: "lost", Refusal: "refused", Moved: "moved",
	Elsewhere: "elsewhere", Different: "different", Answered: "answered", Covered: "covered",
}

// String returns the kind as JSON has it.
func (k Kind) String() string { return kindNames[k] }

// has are the states in which the client was given records.
var has = []State{private, public, unlinked, other}

// kinds are looked through in order: the first whose states are those of the answers
// is the kind. Empty states are any.
var kinds = []struct {
	from, to []State
	kind     Kind
}{
	{[]State{private, Withheld}, []State{public, unlinked}, Exposed},
	{nil, []State{private}, Covered},
	{[]State{private, public, unlinked, other, nodata, NXDomain, missing}, []State{Failed}, Failing},
	{[]State{private, public, unlinked, other, nodata, NXDomain, missing}, []State{Refused, Withheld}, Refusal},
	{has, []State{nodata, NXDomain, missing}, Lost},
	{[]State{public, unlinked}, []State{public, unlinked}, Elsewhere},
	{[]State{Failed, Refused, Withheld, NXDomain, missing, nodata}, has, Answered},
	{[]State{Failed, Refused, Withheld}, []State{NXDomain, missing, nodata}, Answered},
}

func kindOf(from, to State) Kind {
	for _, row := range kinds {
		if (row.from == nil || slices.Contains(row.from, from)) && slices.Contains(row.to, to) {
			return row.kind
		}
	}
	return Different
}

// compare tells whether an answer is another than the log has for the question. TTLs
// and the order of records do not matter. Public addresses rotate: of those, what the
// chain ends at is compared, unless strictly.
func compare(question logreport.Question, now logreport.Answer, strict bool) (Change, bool) {
	before := &question.Answer
	change := Change{Question: question, Now: now, From: StateOf(before), To: StateOf(&now)}
	if change.From != change.To {
		change.Kind = kindOf(change.From, change.To)
		return change, true
	}
	change.Kind = kindOfSame[change.From]
	return change, !same(change.From, before, &now, strict)
}

// kindOfSame is the kind of a change between two answers of one state.
var kindOfSame = map[State]Kind{
	private: Moved, public: Elsewhere, unlinked: Elsewhere,
	missing: Different, nodata: Different, other: Different, NXDomain: Different,
}

// same reports whether two answers of one state are the same.
func same(state State, before, now *logreport.Answer, strict bool) bool {
	switch state {
	case Failed, Refused, Withheld:
		return true
	case private:
		if !sameAddresses(before.Addresses, now.Addresses) {
			return false
		}
	case public, unlinked:
		if end(before.Chain) != end(now.Chain) || strict && !sameAddresses(before.Addresses, now.Addresses) {
			return false
		}
	}
	return !strict || slices.Equal(before.Chain, now.Chain)
}

// logged is how many addresses and names a log keeps of an answer.
const logged = 64

// sameAddresses compares sets, as far as the log has them.
func sameAddresses(before, now []netip.Addr) bool {
	unknown := func(address netip.Addr) bool { return !slices.Contains(now, address) }
	if slices.ContainsFunc(before, unknown) {
		return false
	}
	return len(before) >= logged || !slices.ContainsFunc(now, func(address netip.Addr) bool { return !slices.Contains(before, address) })
}

// end is the last name of a chain, empty where there is none.
func end(chain []string) string {
	if len(chain) == 0 {
		return ""
	}
	return chain[len(chain)-1]
}

func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Queries, a.Queries), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), a.Client.Compare(b.Client))
	})
}
