package batch

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	senders = 4

	// window is how much a sender has under way. That of all of them fits into the
	// default receive buffer, which the other server may have: some 270 short datagrams.
	window = 32
)

// flood is a number of senders of datagrams, each as fast as its datagrams are answered.
type flood struct {
	ours, others atomic.Int64  // datagrams that were answered by us and by the other server
	progress     chan struct{} // has a value after an answer

	senders [senders]sender
	stop    atomic.Bool
	wait    sync.WaitGroup
}

// sender numbers its datagrams.
type sender struct {
	sent   atomic.Uint64 // numbers used
	oldest atomic.Uint64 // all numbers below are answered
}

func startFlood(t *testing.T, address netip.AddrPort) *flood {
	t.Helper()
	f := &flood{progress: make(chan struct{}, 1)}
	for i := range f.senders {
		conn := client(t, address)
		f.wait.Go(func() {
			if err := f.run(conn, &f.senders[i]); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { f.end() })
	return f
}

// run returns when the flood was stopped and everything is answered, or an error if
// something is not.
func (f *flood) run(conn *net.UDPConn, s *sender) error {
	datagram, buffer := make([]byte, probeSize), make([]byte, 64) // as long as a probe, but none
	unanswered := map[uint64]bool{}
	for {
		for !f.stop.Load() && len(unanswered) < window {
			number := s.sent.Add(1) - 1
			unanswered[number] = true
			binary.BigEndian.PutUint64(datagram, number)
			if _, err := conn.Write(datagram); err != nil {
				return fmt.Errorf("sending: %w", err)
			}
		}
		if len(unanswered) == 0 {
			return nil
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buffer)
		if err != nil {
			return fmt.Errorf("%d of %d datagrams were not answered: %w", len(unanswered), s.sent.Load(), err)
		}
		delete(unanswered, binary.BigEndian.Uint64(buffer[n-probeSize:]))
		for s.oldest.Load() < s.sent.Load() && !unanswered[s.oldest.Load()] {
			s.oldest.Add(1)
		}
		f.count(n > probeSize)
	}
}

func (f *flood) count(byOther bool) {
	if byOther {
		f.others.Add(1)
	} else {
		f.ours.Add(1)
	}
	select {
	case f.progress <- struct{}{}:
	default:
	}
}

// settle returns when all that was sent before the call is answered.
func (f *flood) settle(t *testing.T) {
	t.Helper()
	for i := range f.senders {
		s := &f.senders[i]
		sent := s.sent.Load()
		f.until(t, "what was sent is answered", func() bool { return s.oldest.Load() >= sent })
	}
}

// end returns how many datagrams were answered by whom.
func (f *flood) end() (ours, others int64) {
	f.stop.Store(true)
	f.wait.Wait()
	return f.ours.Load(), f.others.Load()
}

// until waits for a condition that the flood brings about.
func (f *flood) until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-f.progress:
		case <-deadline:
			t.Fatalf("waited 10 s until %s", what)
		}
	}
}

func TestNothingIsLostOverStartsAndStops(t *testing.T) {
	stays := func(_ *testing.T, _ string, server net.PacketConn) net.PacketConn { return server }
	tests := []struct {
		name, address string
		// meanwhile is what becomes of the other server's socket while we serve.
		meanwhile func(t *testing.T, address string, before net.PacketConn) (after net.PacketConn)
	}{
		{"the other server stays", "127.0.0.1:0", stays},
		{"at a wildcard address", "[::]:0", stays},
		{"another joins and the first one closes", "127.0.0.1:0", func(t *testing.T, address string, before net.PacketConn) net.PacketConn {
			after := foreign(t, address)
			before.Close()
			return after
		}},
		{"it closes and opens again, behind ours", "127.0.0.1:0", func(t *testing.T, address string, before net.PacketConn) net.PacketConn {
			before.Close()
			return foreign(t, address)
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			server := foreign(t, tc.address)
			address := portOf(server)
			f := startFlood(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), address.Port()))
			for range 8 {
				before := f.others.Load()
				f.until(t, "the other server answers", func() bool { return f.others.Load() > before+200 })
				var worker replier
				g := serve(t, address.String(), 3, &worker)
				f.until(t, "we answer", func() bool { return worker.taken.Load() > 500 })
				f.settle(t) // a socket that closes loses what is queued in it
				server = tc.meanwhile(t, address.String(), server)
				g.Stop()
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
			}
			ours, others := f.end()
			t.Logf("%d answered by us, %d by the other server", ours, others)
			if ours < 4000 || others < 1600 {
				t.Errorf("we answered %d and the other server %d, want at least 4000 and 1600", ours, others)
			}
		})
	}
}

// TestAnOrderIsObeyedAfterWhatCameBefore holds the loop while more than a batch is queued
// and it is ordered to end.
func TestAnOrderIsObeyedAfterWhatCameBefore(t *testing.T) {
	const queued = 3 * size
	hold := make(chan struct{})
	var worker replier
	worker.answer = func(datagram []byte, _ Peer, buffer []byte) []byte {
		if string(datagram) == "hold" {
			<-hold
		}
		return buffer
	}
	g := serve(t, "127.0.0.1:0", 1, &worker)
	conn := client(t, g.Addr())
	if _, err := conn.Write([]byte("hold")); err != nil {
		t.Fatal(err)
	}
	for range queued {
		if _, err := conn.Write(nil); err != nil {
			t.Fatal(err)
		}
	}
	wait := g.loops[0].give(false)
	close(hold)
	wait()
	if got := worker.taken.Load(); got != 1+queued {
		t.Errorf("%d datagrams were answered before the order was obeyed, want %d", got, 1+queued)
	}
}
