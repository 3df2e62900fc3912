package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// oneSlot makes a server use one slot of its pool only; ids stay different.
func oneSlot(s *Server) {
	next := uint64(0)
	s.udp.random = func() uint64 { next += poolSize; return next }
}

// Sockets are replaced after a bounded number of questions.
func TestRetireAfterUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", always(t, nil))
		oneSlot(s)
		const questions = 3 * mostUses
		for range questions {
			if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := s.Stats(); got.Sockets > 1 || got.Pending != 0 {
			t.Errorf("Stats() = %+v, want one socket at most, nothing pending", got)
		}
		if got, least, most := m.opened(), questions/mostUses, questions/leastUses+1; got < least || got > most {
			t.Errorf("%d questions opened %d sockets, want %d to %d", questions, got, least, most)
		}
		s.Close()
	})
}

// A retired socket keeps its pending questions, which still get their replies, and
// is closed with the last one.
func TestRetiredSocketDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", after(25*time.Second, always(t, address("10.0.2.4"))))
		var group sync.WaitGroup
		group.Go(func() {
			answer, err := s.Exchange(t.Context(), testQuestion)
			if got := firstAddress(answer); err != nil || got != "10.0.2.4" {
				t.Errorf("Exchange = %q, %v, want 10.0.2.4", got, err)
			}
		})
		synctest.Wait()
		elapse(mostAge)
		if got := s.Stats(); got.Sockets != 1 || got.Pending != 1 || s.udp.slots != [poolSize]*socket{} {
			t.Errorf("after %v: Stats() = %+v, slots %v; want one retired socket, one pending", mostAge, got, s.udp.slots)
		}
		group.Wait()
		synctest.Wait()
		if got := s.Stats(); got.Sockets != 0 || got.Pending != 0 || m.opened() != 1 {
			t.Errorf("after the reply: Stats() = %+v, %d opened; want no socket, one opened", got, m.opened())
		}
		s.Close()
	})
}

// A socket in steady use is replaced when it is old.
func TestRetireAfterAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", always(t, nil))
		oneSlot(s)
		for range 30 {
			if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
				t.Fatal(err)
			}
			elapse(time.Second)
		}
		if got := m.opened(); got < 2 || got > 3 {
			t.Errorf("30 s of use opened %d sockets, want 2 or 3", got)
		}
		s.Close()
	})
}

func TestIdleSocketsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newInMemory(t, "192.0.2.1:53", always(t, nil))
		for range 20 * poolSize { // every socket is chosen
			if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
				t.Fatal(err)
			}
		}
		elapse(idleTime - time.Second)
		if got := s.Stats(); got.Sockets != poolSize {
			t.Errorf("just used: Stats() = %+v, want %d sockets", got, poolSize)
		}
		elapse(time.Second)
		if got := s.Stats(); got.Sockets != 0 {
			t.Errorf("unused for %v: Stats() = %+v, want no socket", idleTime, got)
		}
		if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
			t.Errorf("asking again: %v", err)
		}
		s.Close()
	})
}

// A socket is not idle while a question is pending on it.
func TestPendingSocketIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", silent)
		m.probed = always(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), leastAge-time.Second)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Exchange = %v, want %v", err, context.DeadlineExceeded)
			}
		})
		synctest.Wait()
		elapse(idleTime + time.Second)
		if got := s.Stats(); got.Sockets != 1 || got.Pending != 1 {
			t.Errorf("Stats() = %+v, want a socket with a question pending", got)
		}
		group.Wait()
		elapse(idleTime)
		if got := s.Stats(); got.Sockets != 0 {
			t.Errorf("Stats() = %+v, want no socket", got)
		}
		s.Close()
	})
}

// scripted is a UDP connection whose calls the test decides.
type scripted struct {
	net.Conn // nil: whatever is not below must not be called
	write    func() error
	deadline func() error
	read     error // of the first read; later ones wait for Close
	closed   chan struct{}
}

func (c *scripted) Write(b []byte) (int, error)     { return len(b), c.write() }
func (c *scripted) SetReadDeadline(time.Time) error { return c.deadline() }
func (c *scripted) Close() error                    { close(c.closed); return nil }

func (c *scripted) Read([]byte) (int, error) {
	if err := c.read; err != nil {
		c.read = nil
		return 0, err
	}
	<-c.closed
	return 0, net.ErrClosed
}

func TestSocketErrors(t *testing.T) {
	fine := func() error { return nil }
	fails := func(err error) func() error { return func() error { return err } }
	tests := []struct {
		name            string
		write, deadline func() error
		dial            error
		want            error
		sockets         int
	}{
		{name: "dialling", dial: syscall.ENETUNREACH, want: syscall.ENETUNREACH},
		{name: "deadline", write: fine, deadline: fails(net.ErrClosed), want: net.ErrClosed},
		{name: "writing", write: fails(syscall.EPERM), deadline: fine, want: syscall.EPERM},
		{name: "refused", write: fails(syscall.ECONNREFUSED), deadline: fine, want: syscall.ECONNREFUSED, sockets: 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dials := 0
			dial := func(context.Context, string, string) (net.Conn, error) {
				dials++
				if tc.dial != nil {
					return nil, tc.dial
				}
				return &scripted{write: tc.write, deadline: tc.deadline, closed: make(chan struct{})}, nil
			}
			s := newServer(netip.MustParseAddrPort("192.0.2.1:53"), dial, func() uint64 { return 7 })
			defer s.Close()
			s.watching = true // no prober opens sockets of its own
			if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, tc.want) {
				t.Errorf("Exchange = %v, want %v", err, tc.want)
			}
			if got := s.Stats(); got.Sockets != tc.sockets || got.Pending != 0 || dials != 1 {
				t.Errorf("Stats() = %+v after %d dials, want %d sockets, nothing pending, 1 dial", got, dials, tc.sockets)
			}
		})
	}
}

// A read that fails ends what is pending, and the socket unless the server refused.
func TestReadErrors(t *testing.T) {
	twice := func() func() error {
		calls := 0
		return func() error {
			if calls++; calls > 1 {
				return syscall.EINVAL
			}
			return nil
		}
	}
	tests := []struct {
		name    string
		read    error
		want    error
		sockets int
	}{
		{"refused", syscall.ECONNREFUSED, syscall.ECONNREFUSED, 1},
		{"unreachable", syscall.EHOSTUNREACH, syscall.EHOSTUNREACH, 0},
		{"no new deadline", os.ErrDeadlineExceeded, syscall.EINVAL, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			u := newUDP("", nil, func() uint64 { return 0 }, nil)
			conn := &scripted{read: tc.read, deadline: twice(), closed: make(chan struct{})}
			u.dial = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
			conn.write = func() error { return nil }
			u.mu.Lock() // holds the reader until the question is pending
			s, err := u.openSocket(t.Context(), 0, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			w := &waiter{socket: s, done: make(chan delivery, 1)}
			s.pending[0] = w
			u.mu.Unlock()
			if got := <-w.done; !errors.Is(got.err, tc.want) {
				t.Errorf("the question ended with %v, want %v", got.err, tc.want)
			}
			if sockets, pending := u.load(); sockets != tc.sockets || pending != 0 {
				t.Errorf("load() = %d, %d, want %d, 0", sockets, pending, tc.sockets)
			}
			u.close()
		})
	}
}

// A context that ends while a socket is being opened is told as its own error.
func TestContextEndsWhileDialling(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dial := func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return nil, &net.OpError{Op: "dial", Err: context.Canceled}
	}
	s := newServer(netip.MustParseAddrPort("192.0.2.1:53"), dial, func() uint64 { return 7 })
	if _, err := s.Exchange(ctx, testQuestion); err != context.Canceled {
		t.Errorf("Exchange = %#v, want %v", err, context.Canceled)
	}
}

// When no more sockets can be opened, an open one serves.
func TestOpenSocketServesWhenDiallingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", always(t, address("10.0.2.4")))
		if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
			t.Fatal(err)
		}
		s.udp.dial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EMFILE }
		for range 50 {
			if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
				t.Fatalf("Exchange = %v, want an answer", err)
			}
		}
		if got := m.opened(); got != 1 {
			t.Errorf("%d sockets were opened, want 1", got)
		}
		s.Close()
	})
}
