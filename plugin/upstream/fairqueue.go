package upstream

import (
	"container/list"
	"hash/maphash"
	"net/netip"

	"github.com/miekg/dns"
)

// flow is what a query counts for while it waits: the network of the client that it is
// asked for, and in that the part that the parent of its name falls into. Whoever asks
// for random names asks for children of one name mostly, and a resolver carries his
// questions as well as everybody else's.
type flow struct {
	network netip.Prefix
	part    uint8
}

// parts is how many parts the queue of a network has. They are few on purpose: random
// parents fill them all alike, and then everybody is served as if there were none.
const parts = 8

// flowOf returns what a question counts for. The key must be random: who knows it could
// choose names that get in the way of others.
func flowOf(asked *Question, key maphash.Seed) flow {
	parent, _ := dns.NextLabel(asked.Name, 0)
	return flow{network: asked.Network, part: uint8(maphash.String(key, asked.Name[parent:]) % parts)}
}

// applicant is a query that waits for its ticket. The pacer's lock guards all but granted.
type applicant struct {
	granted chan *ticket // holds one, so that nobody waits for the applicant; nil is a refusal
	class   priority
	flow    flow
	place   *list.Element // in its part of its network's queue, until it is granted
}

// fairQueue holds those who wait for a ticket of one class. Each network has a queue of
// its own, and they take turns; so do the parts of each. Within a part, who comes first
// is served first. Nothing takes longer the more wait. The zero value is empty.
type fairQueue struct {
	length   int
	networks map[netip.Prefix]*networkQueue // none is empty
	turns    list.List                      // of the same; whose turn it is stands first
	// longest was the longest queue when the turn was last with a longer one, or one
	// grew, which is not long ago: all have a turn in each round. It may be nil.
	longest *networkQueue
}

// networkQueue holds those of one network.
type networkQueue struct {
	length int
	turn   *list.Element
	parts  [parts]list.List // of *applicant
	at     int              // the part whose turn it is, unless it is empty
}

// put adds an applicant.
func (f *fairQueue) put(a *applicant) {
	n := f.networks[a.flow.network]
	if n == nil {
		if f.networks == nil {
			f.networks = make(map[netip.Prefix]*networkQueue)
		}
		n = new(networkQueue)
		n.turn = f.turns.PushBack(n)
		f.networks[a.flow.network] = n
	}
	a.place = n.parts[a.flow.part].PushBack(a)
	n.length++
	f.length++
	f.compare(n)
}

// take removes the applicant whose turn it is. The queue must not be empty.
func (f *fairQueue) take() *applicant {
	n := f.turns.Front().Value.(*networkQueue)
	f.turns.MoveToBack(n.turn)
	for n.parts[n.at].Len() == 0 {
		n.at = (n.at + 1) % parts
	}
	a := n.parts[n.at].Front().Value.(*applicant)
	n.at = (n.at + 1) % parts
	f.compare(n)
	f.remove(a)
	return a
}

// remove takes out an applicant, wherever it stands.
func (f *fairQueue) remove(a *applicant) {
	n := f.networks[a.flow.network]
	n.parts[a.flow.part].Remove(a.place)
	n.length--
	f.length--
	if n.length > 0 {
		return
	}
	f.turns.Remove(n.turn)
	delete(f.networks, a.flow.network)
	if f.longest == n {
		f.longest = nil
	}
}

func (f *fairQueue) compare(n *networkQueue) {
	if f.longest == nil || n.length > f.longest.length {
		f.longest = n
	}
}

// turn estimates as the how manieth one a newcomer would be served, if others came no
// faster than they are served.
func (f *fairQueue) turn(of flow) int {
	n := f.networks[of.network]
	if n == nil {
		return len(f.networks) + 1
	}
	return min((n.turnOf(of.part))*len(f.networks), f.length+1)
}

// turnOf is turn within the network.
func (n *networkQueue) turnOf(part uint8) int {
	busy := 0
	for i := range n.parts {
		if n.parts[i].Len() > 0 || i == int(part) {
			busy++
		}
	}
	return min((n.parts[part].Len()+1)*busy, n.length+1)
}

// last returns who makes room for a newcomer where there is none: the last one of
// whoever has the most waiting, nil where that is the newcomer.
func (f *fairQueue) last(newcomer flow) *applicant {
	if f.longest == nil {
		return nil
	}
	part := f.longest.fullest()
	own := f.networks[newcomer.network]
	switch {
	case own == f.longest:
		if part.Len() <= own.parts[newcomer.part].Len()+1 {
			return nil
		}
	case own != nil && f.longest.length <= own.length+1, f.longest.length <= 1:
		return nil
	}
	return part.Back().Value.(*applicant)
}

// fullest returns the part that holds the most.
func (n *networkQueue) fullest() *list.List {
	most := &n.parts[0]
	for i := range n.parts {
		if n.parts[i].Len() > most.Len() {
			most = &n.parts[i]
		}
	}
	return most
}
