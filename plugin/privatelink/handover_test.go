package privatelink

import (
	"net/netip"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

func endpoints(written ...string) []endpoint {
	var parsed []endpoint
	for _, one := range written {
		parsed = append(parsed, endpoint{address: netip.MustParseAddrPort(one)})
	}
	return parsed
}

// take acquires endpoints that can be opened.
func (s *slot) take(t *testing.T, written ...string) (*lease, map[endpoint]*upstream.Server) {
	t.Helper()
	held, servers, err := s.acquire(endpoints(written...))
	if err != nil {
		t.Fatal(err)
	}
	return held, servers
}

func (s *slot) holds(address string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.servers[endpoints(address)[0]] != nil
}

func TestReloadKeepsServersThatBothConfigurationsName(t *testing.T) {
	s := newSlot()
	old, servers := s.take(t, "10.0.0.4:53", "10.0.0.5:53")
	s.commit()
	_, again := s.take(t, "10.0.0.5:53", "10.0.0.6:53")
	s.release(old)
	kept := endpoints("10.0.0.5:53")[0]
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
	s.take(t, "10.0.0.4:53")
	s.commit()
	failing, _ := s.take(t, "10.0.0.4:53", "10.0.0.6:53")
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
	first, _ := s.take(t, "10.0.0.4:53")
	s.take(t, "10.0.0.4:53")
	s.release(first)
	s.release(first)
	if !s.holds("10.0.0.4:53") {
		t.Error("a server that another configuration holds was closed")
	}
}

func TestFailedReloadLeavesTheServersOfChangedFilesAlone(t *testing.T) {
	s := newSlot()
	s.take(t, "10.0.0.4:53")
	failing, _ := s.take(t, "10.0.0.4:53")
	s.begin(failing, func() {})
	s.take(t, "10.0.0.5:53") // a rules file changed while the reload was starting
	s.abandon()
	if !s.holds("10.0.0.4:53") || !s.holds("10.0.0.5:53") {
		t.Errorf("holds: running %v, of the changed file %v; want both", s.holds("10.0.0.4:53"), s.holds("10.0.0.5:53"))
	}
}
