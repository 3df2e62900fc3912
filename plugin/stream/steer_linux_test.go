package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// foreign is another server at an address: it answers every message with "other".
func foreign(t testing.TB, address string) *net.TCPListener {
	t.Helper()
	config := net.ListenConfig{Control: reusePort} // as CoreDNS listens
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for {
					if _, err := receive(conn); err != nil {
						return
					}
					if _, err := conn.Write(framed("other")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.(*net.TCPListener)
}

// ours answers every message with "ours".
var ours = echo{answer: func(_ []byte, _ *Connection, buffer []byte) []byte { return append(buffer, "ours"...) }}

// reached is where a client of an address should connect to.
func reached(address netip.AddrPort) netip.AddrPort {
	if address.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), address.Port())
	}
	return address
}

// asked tells who answers a new connection.
func asked(address netip.AddrPort) (string, error) {
	conn, err := net.DialTimeout("tcp", address.String(), 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write(framed("who")); err != nil {
		return "", err
	}
	return receive(conn)
}

// answersAll demands that all of a number of new connections are answered by somebody.
func answersAll(t *testing.T, address netip.AddrPort, want string) {
	t.Helper()
	for range 30 {
		if got, err := asked(address); got != want || err != nil {
			t.Fatalf("a connection is answered by %q (%v), want %q", got, err, want)
		}
	}
}

func TestNewConnectionsComeToUsUntilStop(t *testing.T) {
	for _, bind := range []string{"127.0.0.1", "::1", "::", "0.0.0.0"} {
		for _, others := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s beside %d", bind, others), func(t *testing.T) {
				t.Parallel()
				address := netip.AddrPortFrom(netip.MustParseAddr(bind), 0)
				for range others {
					address = addrPort(foreign(t, address.String()).Addr())
				}
				s := serve(t, address.String(), Options{}, ours)
				answersAll(t, reached(address), "ours")
				if err := s.Steer(); err != nil || !s.Stats().Steered {
					t.Errorf("Steer() = %v, Stats() = %+v, want it steered", err, s.Stats())
				}
				answersAll(t, reached(address), "ours")
				s.Stop()
				answersAll(t, reached(address), "other")
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if got := s.Stats(); got.Open != 0 || got.Steered || !errors.Is(s.Steer(), net.ErrClosed) {
					t.Errorf("Stats() = %+v, want nothing open nor steered", got)
				}
			})
		}
	}
}

func TestStopWithoutAnybodyElseRefusesConnections(t *testing.T) {
	s := serve(t, "127.0.0.1:0", Options{}, ours)
	answersAll(t, s.Addr(), "ours")
	s.Stop()
	if got, err := asked(s.Addr()); err == nil {
		t.Errorf("a connection after Stop is answered by %q, want it refused", got)
	}
}

func TestSteerAfterAnotherListenerHasMovedUs(t *testing.T) {
	before := foreign(t, "127.0.0.1:0")
	address := addrPort(before.Addr())
	foreign(t, address.String())
	s := serve(t, address.String(), Options{}, ours)
	answersAll(t, address, "ours")
	before.Close() // the last member takes its place: ours
	if err := s.Steer(); err != nil {
		t.Fatal(err)
	}
	answersAll(t, address, "ours")
	foreign(t, address.String())
	if err := s.Steer(); err != nil {
		t.Fatal(err)
	}
	answersAll(t, address, "ours")
}

// TestNoConnectionIsLost connects all the time while servers start and stop beside
// another one: every question is answered, by whomever.
func TestNoConnectionIsLost(t *testing.T) {
	address := addrPort(foreign(t, "127.0.0.1:0").Addr())
	var byUs, byOther, lost atomic.Int64
	var clients sync.WaitGroup
	end := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				switch got, err := asked(address); {
				case err != nil:
					lost.Add(1)
					t.Errorf("a question is not answered: %v", err)
					return
				case got == "ours":
					byUs.Add(1)
				default:
					byOther.Add(1)
				}
			}
		})
	}
	until := func(counter *atomic.Int64) {
		before := counter.Load()
		for counter.Load() < before+50 && lost.Load() == 0 {
			if _, err := asked(address); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 4 {
		until(&byOther)
		s, err := Listen(address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Serve(2, func() Worker { return ours })
		until(&byUs)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if stats := s.Stats(); !stats.Steered && stats.Messages == 0 {
			t.Errorf("Stats() = %+v, want messages", stats)
		}
	}
	close(end)
	clients.Wait()
}

func TestStopAnswersWhatHasCome(t *testing.T) {
	held := make(chan *Connection, 100)
	hold := echo{answer: func(_ []byte, from *Connection, buffer []byte) []byte {
		from.Hold()
		held <- from
		return buffer
	}}
	s := serve(t, "127.0.0.1:0", Options{}, hold)
	conn, idle := dial(t, s.Addr()), dial(t, s.Addr())
	say(t, conn, "early")
	first := <-held
	say(t, conn, "in the kernel", "as well")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Stop()
	}()
	second, third := <-held, <-held
	<-stopped
	for _, connection := range []*Connection{first, second, third} {
		if err := connection.Reply([]byte("late")); err != nil {
			t.Errorf("Reply after Stop: %v", err)
		}
		connection.Release()
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for range 3 {
		if got := hear(t, conn); got != "late" {
			t.Errorf("the reply is %q, want late", got)
		}
	}
	for _, conn := range []net.Conn{conn, idle} {
		if got, err := receive(conn); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after Close there is %q (%v), want the end", got, err)
		}
	}
}

func TestAClientThatHasFinishedSendingGetsItsReplies(t *testing.T) {
	held := make(chan *Connection, 1)
	s := serve(t, "127.0.0.1:0", Options{}, echo{answer: func(message []byte, from *Connection, buffer []byte) []byte {
		if string(message) == "quick" {
			return append(buffer, message...)
		}
		from.Hold()
		held <- from
		return buffer
	}})
	conn := dial(t, s.Addr())
	say(t, conn, "slow", "quick")
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, conn); got != "quick" {
		t.Errorf("the first reply is %q, want quick", got)
	}
	connection := <-held
	if err := connection.Reply([]byte("slow")); err != nil {
		t.Errorf("Reply: %v", err)
	}
	connection.Release()
	if got := hear(t, conn); got != "slow" {
		t.Errorf("the second reply is %q, want slow", got)
	}
	if _, err := receive(conn); err == nil {
		t.Error("the connection is still open, want it closed")
	}
}
