package privatelink

import (
	"net/netip"
	"testing"
)

func addresses(written ...string) []netip.AddrPort {
	var parsed []netip.AddrPort
	for _, one := range written {
		parsed = append(parsed, netip.MustParseAddrPort(one))
	}
	return parsed
}

func (s *slot) holds(address string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.servers[netip.MustParseAddrPort(address)] != nil
}

func TestReloadKeepsServersThatBothConfigurationsName(t *testing.T) {
	s := newSlot()
	old, servers := s.acquire(addresses("10.0.0.4:53", "10.0.0.5:53"))
	s.commit()
	_, again := s.acquire(addresses("10.0.0.5:53", "10.0.0.6:53"))
	s.release(old)
	kept := netip.MustParseAddrPort("10.0.0.5:53")
	if servers[kept] != again[kept] {
		t.Error("the server that both configurations name was made anew, want the same one")
	}
	for address, want := range map[string]bool{"10.0.0.4:53": false, "10.0.0.5:53": true, "10.0.0.6:53": true} {
		if got := s.holds(address); got != want {
			t.Errorf("holds(%s) = %v after the reload, want %v", address, got, want)
		}
	}
}

func TestFailedReloadLeavesTheRunningServersAlone(t *testing.T) {
	s := newSlot()
	s.acquire(addresses("10.0.0.4:53"))
	s.commit()
	failing, _ := s.acquire(addresses("10.0.0.4:53", "10.0.0.6:53"))
	undone := 0
	s.begin(failing, func() { undone++ })
	s.abandon()
	s.abandon()
	if undone != 1 {
		t.Errorf("what the failed configuration had started was undone %d times, want once", undone)
	}
	if !s.holds("10.0.0.4:53") || s.holds("10.0.0.6:53") {
		t.Errorf("holds: running %v, abandoned %v; want true, false", s.holds("10.0.0.4:53"), s.holds("10.0.0.6:53"))
	}
}

func TestReleasingTwiceCountsOnce(t *testing.T) {
	s := newSlot()
	first, _ := s.acquire(addresses("10.0.0.4:53"))
	s.acquire(addresses("10.0.0.4:53"))
	s.release(first)
	s.release(first)
	if !s.holds("10.0.0.4:53") {
		t.Error("a server that another configuration holds was closed")
	}
}

func TestFailedReloadLeavesTheServersOfChangedFilesAlone(t *testing.T) {
	s := newSlot()
	s.acquire(addresses("10.0.0.4:53"))
	failing, _ := s.acquire(addresses("10.0.0.4:53"))
	s.begin(failing, func() {})
	s.acquire(addresses("10.0.0.5:53")) // a rules file changed while the reload was starting
	s.abandon()
	if !s.holds("10.0.0.4:53") || !s.holds("10.0.0.5:53") {
		t.Errorf("holds: running %v, of the changed file %v; want both", s.holds("10.0.0.4:53"), s.holds("10.0.0.5:53"))
	}
}
