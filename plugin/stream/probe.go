package stream

import (
	"net/netip"
	"sync"
)

// probes are the connections to ourselves by which our listener is located. The steering
// program sends each to the index that is tried, and the address it comes from tells it
// from all others: the kernel offers no other way to ask.
type probes struct {
	mutex     sync.Mutex
	indexes   map[netip.AddrPort]int // by the address that the probe comes from
	sightings chan int               // indexes of probes that have come to us, in their order
}

func newProbes() *probes {
	return &probes{indexes: map[netip.AddrPort]int{}, sightings: make(chan int, maxMembers+2)}
}

// expect has a connection from an address be a probe.
func (p *probes) expect(from netip.AddrPort, index int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.indexes[from] = index
}

// sighted takes a connection that is a probe, and says whether it was one.
func (s *Server) sighted(remote netip.AddrPort) bool {
	p := s.probes.Load()
	if p == nil {
		return false
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	index, expected := p.indexes[remote]
	if expected {
		delete(p.indexes, remote)
		p.sightings <- index // there is room for every probe
	}
	return expected
}

// maxMembers are the most listeners of an address among which ours is looked for.
const maxMembers = 256
