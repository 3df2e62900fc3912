package batch

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// attempts are how often members are located before that is given up: a probe is
	// lost when the receive buffer is full, and others may close their sockets.
	attempts = 3

	// pace is how long a probe is waited for before the next one is sent. A probe that
	// another's socket got is waited for in vain, one that is late is not missed.
	pace = 2 * time.Millisecond

	// patience is how long the last probes are waited for: longer than a full receive
	// buffer takes to be answered.
	patience = 500 * time.Millisecond

	// maxOthers are the most other sockets that are looked behind for ours.
	maxOthers = 256

	// indexMask is the part of a probe's last word that is the index; the rest is the
	// round.
	indexMask = 0xffff
)

// mark tells the program and the loops that a datagram is a probe of ours. It is random,
// so that nobody else can steer.
type mark [16]byte

// probeSize is the length of a probe: the mark, then round and index.
const probeSize = len(mark{}) + 4

// probes are the datagrams by which members are located. The steering program sends each
// to the index it names, and the loop that gets it reports it: the kernel offers no other
// way to ask.
type probes struct {
	mark      mark
	target    netip.AddrPort
	sightings chan sighting
}

// sighting is a probe that has come to a loop.
type sighting struct {
	round, index, loop int
}

// newProbes returns probes that arrive at a group with the given address.
func newProbes(address netip.AddrPort) *probes {
	p := &probes{target: address, sightings: make(chan sighting, 1024)}
	if address.Addr().IsUnspecified() {
		p.target = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port())
	}
	rand.Read(p.mark[:])
	// The others get probes, too. A set bit here is a reply in DNS, and in NetBIOS and
	// mDNS, and a server that gets a reply ignores it.
	p.mark[2] |= 0x80
	return p
}

// sighted takes a datagram that is a probe, and says whether it was one.
func (g *Group) sighted(datagram []byte, loop int) bool {
	p := g.probes.Load()
	if p == nil || mark(datagram[:len(mark{})]) != p.mark {
		return false
	}
	word := int(binary.BigEndian.Uint32(datagram[len(mark{}):]))
	select {
	case p.sightings <- sighting{round: word &^ indexMask, index: word & indexMask, loop: loop}:
	default: // more than were sent
	}
	return true
}

// locate finds our sockets among the members of the kernel's group, while all other
// datagrams go where they went. The loops have to run, and mu has to be held.
func (g *Group) locate() (members, error) {
	p := newProbes(g.address)
	if err := g.attach(steering(g.toward, &p.mark)); err != nil {
		return nil, err
	}
	g.probes.Store(p)
	defer func() {
		g.probes.Store(nil)
		_ = g.direct(g.toward) // as before, without an eye on probes
	}()
	var failure error
	for attempt := range attempts {
		found, err := p.find(len(g.loops), 2*attempt)
		if err == nil {
			err = p.verify(found, 2*attempt+1)
		}
		if err == nil {
			return found, nil
		}
		failure = err
		if errors.Is(err, errUnreachable) {
			break
		}
	}
	return nil, fmt.Errorf("locating the sockets of %s: %w", g.address, failure)
}

// errUnreachable says that no probe arrived at all, which trying again does not change.
var errUnreachable = errors.New("no probe arrived: a filter drops them, or a socket with a more specific address gets them")

// find sends a probe to one index after the other until each of our loops has got one.
//
// An index beyond the end leads to any member, so a loop can see several; the least one
// is its own. That holds unless a probe is lost, which verify finds out.
func (p *probes) find(loops, round int) (members, error) {
	conn, err := net.Dial("udp", p.target.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	least := map[int]int{} // by loop
	for index := range loops + maxOthers {
		if err := p.send(conn, round, index); err != nil {
			return nil, err
		}
		wait := pace
		if index == loops+maxOthers-1 {
			wait = patience
		}
		if p.collect(least, loops, round, index, wait) {
			return arrange(least)
		}
	}
	if len(least) == 0 {
		return nil, errUnreachable
	}
	return nil, fmt.Errorf("%d of %d loops got a probe", len(least), loops)
}

// collect notes sightings until that of the given index has come or the time is up, and
// says whether every loop has been seen.
func (p *probes) collect(least map[int]int, loops, round, index int, wait time.Duration) bool {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for len(least) < loops {
		select {
		case s := <-p.sightings:
			if s.round != round<<16 {
				continue
			}
			if known, ok := least[s.loop]; !ok || s.index < known {
				least[s.loop] = s.index
			}
			if s.index == index {
				return len(least) == loops
			}
		case <-timeout.C:
			return false
		}
	}
	return true
}

// arrange turns indexes by loop into loops by index.
func arrange(least map[int]int) (members, error) {
	var m members
	for loop, index := range least {
		for len(m) <= index {
			m = append(m, other)
		}
		if m[index] != other {
			return nil, errors.New("two loops got a probe for one index")
		}
		m[index] = loop
	}
	return m, nil
}

// verify sends a probe to each of our sockets, from another port, so that one that goes
// to the wrong index and so to any member goes to another than before, mostly.
func (p *probes) verify(found members, round int) error {
	conn, err := net.Dial("udp", p.target.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	expected := found.ours()
	for _, index := range expected {
		if err := p.send(conn, round, index); err != nil {
			return err
		}
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for len(expected) > 0 {
		select {
		case s := <-p.sightings:
			if s.round != round<<16 {
				continue
			}
			if s.index >= len(found) || found[s.index] != s.loop {
				return errors.New("a probe came to another socket than before")
			}
			expected = expected[1:]
		case <-timeout.C:
			return fmt.Errorf("%d probes did not come back", len(expected))
		}
	}
	return nil
}

func (p *probes) send(conn net.Conn, round, index int) error {
	probe := make([]byte, 0, probeSize)
	probe = append(probe, p.mark[:]...)
	_, err := conn.Write(binary.BigEndian.AppendUint32(probe, uint32(round<<16|index)))
	return err
}
