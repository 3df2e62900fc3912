package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The tests here connect by net.Pipe, whose writer waits for its reader, under a clock of
// their own.

// echo is a worker that answers with what it was sent.
type echo struct {
	answer func(message []byte, from *Connection, buffer []byte) []byte // instead, if not nil
}

func (e echo) Answer(message []byte, from *Connection, buffer []byte) []byte {
	if e.answer != nil {
		return e.answer(message, from, buffer)
	}
	return append(buffer, message...)
}

// framed puts lengths before messages.
func framed(messages ...string) []byte {
	var all []byte
	for _, message := range messages {
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(message))), message...)
	}
	return all
}

// receive reads the next message, or says why there is none within ten seconds.
func receive(conn net.Conn) (string, error) {
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	return readMessage(conn)
}

func readMessage(conn net.Conn) (string, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return "", err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, message)
	return string(message), err
}

// sheet is a server without a listener and its worker.
type sheet struct {
	*Server
	taken []string // messages that came, in their order
	held  map[string]*Connection
}

// newSheet returns a server that answers in place, but holds messages that begin with
// "held", and panics at "panic".
func newSheet(options Options) *sheet {
	s := &sheet{Server: newServer(options), held: map[string]*Connection{}}
	s.employ(1, func() Worker { return echo{answer: s.answer} })
	return s
}

func (s *sheet) answer(message []byte, from *Connection, buffer []byte) []byte {
	s.taken = append(s.taken, string(message))
	switch {
	case strings.HasPrefix(string(message), "held"):
		from.Hold()
		s.held[string(message)] = from
		return buffer
	case string(message) == "panic":
		panic("as asked")
	}
	return append(buffer, message...)
}

// release answers a message that is held.
func (s *sheet) release(message string) error {
	defer s.held[message].Release()
	return s.held[message].Reply([]byte(message))
}

// connect returns the client's end of a connection from an address.
func (s *sheet) connect(address string) *client {
	ours, theirs := net.Pipe()
	s.take(ours, netip.MustParseAddrPort(address), netip.AddrPort{})
	c := &client{Conn: theirs}
	return c
}

// client reads all the time, unless told otherwise, and notes what it got and when the
// connection ended.
type client struct {
	net.Conn
	got   []string
	ended time.Time
}

func (c *client) reads() *client {
	go func() {
		for {
			message, err := readMessage(c.Conn)
			if err != nil {
				c.ended = time.Now()
				return
			}
			c.got = append(c.got, message)
		}
	}()
	return c
}

// say sends messages without waiting for them to be read.
func (c *client) say(messages ...string) { c.write(framed(messages...)) }

func (c *client) write(octets []byte) {
	go func() { _, _ = c.Conn.Write(octets) }()
	synctest.Wait()
}

func (c *client) check(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := strings.Join(c.got, " "); got != strings.Join(want, " ") {
		t.Errorf("replies = %q, want %q", c.got, want)
	}
}

// in runs a test under a clock of its own.
func in(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestAQuickAnswerOvertakesASlowOne(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newSheet(Options{})
		c := s.connect("192.0.2.1:1").reads()
		defer c.Close()
		c.say("held 1", "quick", "held 2", "again")
		c.check(t, "quick", "again")
		if err := s.release("held 2"); err != nil {
			t.Error(err)
		}
		c.check(t, "quick", "again", "held 2")
		if err := s.release("held 1"); err != nil {
			t.Error(err)
		}
		c.check(t, "quick", "again", "held 2", "held 1")
		if stats := s.Stats(); stats.InFlight != 0 || stats.Messages != 4 || stats.Replies != 4 {
			t.Errorf("Stats() = %+v, want 4 messages with replies, none in flight", stats)
		}
	})
}

func TestMessagesMayComeInAnyPieces(t *testing.T) {
	long := strings.Repeat("long ", 4000)
	octets := framed("one", "", "two", long, "three")
	for _, size := range []int{1, 2, 3, 5, 7, 1000, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newSheet(Options{})
				c := s.connect("192.0.2.1:1").reads()
				defer c.Close()
				for rest := octets; len(rest) > 0; {
					piece := rest[:min(size, len(rest))]
					if _, err := c.Write(piece); err != nil {
						t.Fatal(err)
					}
					rest = rest[len(piece):]
				}
				c.check(t, "one", "two", long, "three")
				if left := s.buffered.Load(); left != 0 {
					t.Errorf("%d octets are buffered after all was answered, want 0", left)
				}
			})
		})
	}
}

func TestMoreMessagesThanMayBeInFlightAreNotRead(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newSheet(Options{})
		c := s.connect("192.0.2.1:1").reads()
		defer c.Close()
		var messages []string
		for number := range 150 {
			messages = append(messages, fmt.Sprintf("held %03d", number))
		}
		c.say(messages...)
		if stats := s.Stats(); len(s.taken) != 100 || stats.InFlight != 100 {
			t.Fatalf("%d messages were taken and %d are in flight, want 100", len(s.taken), stats.InFlight)
		}
		time.Sleep(time.Minute)
		for number, message := range messages {
			if err := s.release(message); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if want := min(101+number, 150); len(s.taken) != want {
				t.Fatalf("%d messages were taken after %d replies, want %d", len(s.taken), number+1, want)
			}
		}
		c.check(t, messages...)
	})
}

func TestConnectionsEndInTime(t *testing.T) {
	tests := []struct {
		name string
		talk func(s *sheet, c *client)
		want time.Duration
		// counted is what counts it.
		counted func(Stats) uint64
	}{
		{"nothing is ever said", func(*sheet, *client) {}, 5 * time.Second, func(s Stats) uint64 { return s.ClosedUnused }},
		{"the first message comes too slowly", func(_ *sheet, c *client) {
			for range 10 {
				c.write([]byte{1})
				time.Sleep(time.Second)
			}
		}, 5 * time.Second, func(s Stats) uint64 { return s.ClosedUnused }},
		{"idle", func(_ *sheet, c *client) {
			time.Sleep(2 * time.Second)
			c.say("one")
		}, 12 * time.Second, func(s Stats) uint64 { return s.ClosedIdle }},
		{"idle after a late reply", func(s *sheet, c *client) {
			c.say("held")
			time.Sleep(25 * time.Second)
			_ = s.release("held")
		}, 35 * time.Second, func(s Stats) uint64 { return s.ClosedIdle }},
		{"empty messages only", func(_ *sheet, c *client) {
			c.say("")
			time.Sleep(4 * time.Second)
			c.say("")
		}, 14 * time.Second, func(s Stats) uint64 { return s.ClosedIdle }},
		{"a later message comes too slowly", func(_ *sheet, c *client) {
			c.say("one")
			time.Sleep(time.Second)
			for range 10 {
				c.write([]byte{1})
				time.Sleep(time.Second)
			}
		}, 6 * time.Second, func(s Stats) uint64 { return s.ClosedSlow }},
		{"half a message behind a whole one", func(_ *sheet, c *client) {
			c.write(append(framed("one"), 0, 9, 'x'))
		}, 5 * time.Second, func(s Stats) uint64 { return s.ClosedSlow }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newSheet(Options{})
				c, begin := s.connect("192.0.2.1:1").reads(), time.Now()
				tc.talk(s, c)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := c.ended.Sub(begin); got != tc.want {
					t.Errorf("the connection ended after %s, want %s", got, tc.want)
				}
				if stats := s.Stats(); tc.counted(stats) != 1 || stats.Open != 0 {
					t.Errorf("Stats() = %+v, want it counted and none open", stats)
				}
			})
		})
	}
}

func TestAClientThatTakesNoRepliesIsCutOff(t *testing.T) {
	tests := []struct {
		name string
		talk func(s *sheet, c *client)
	}{
		{"replies in place", func(_ *sheet, c *client) { c.say("one", "two") }},
		{"late replies", func(s *sheet, c *client) {
			c.say("held 1", "held 2")
			for _, message := range []string{"held 1", "held 2"} {
				if err := s.release(message); err != nil {
					panic(err)
				}
			}
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newSheet(Options{})
				c := s.connect("192.0.2.1:1")
				tc.talk(s, c)
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if stats := s.Stats(); stats.Open != 1 {
					t.Errorf("Stats() = %+v before the time is up, want one open", stats)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if stats := s.Stats(); stats.CutSlow != 1 || stats.Open != 0 || s.buffered.Load() != 0 {
					t.Errorf("Stats() = %+v with %d octets buffered, want it cut and nothing left", stats, s.buffered.Load())
				}
			})
		})
	}
}

func TestAReplyAfterTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newSheet(Options{})
		c := s.connect("192.0.2.1:1")
		c.say("held", "held too")
		connection := s.held["held"]
		if err := connection.Reply(make([]byte, 70000)); err == nil || errors.Is(err, ErrClosed) {
			t.Errorf("Reply of 70000 octets = %v, want an error that says so", err)
		}
		c.Close()
		synctest.Wait()
		_ = s.release("held") // the pipe says nothing before it is written to
		synctest.Wait()
		if err := s.release("held too"); !errors.Is(err, ErrClosed) {
			t.Errorf("Reply = %v, want ErrClosed", err)
		}
		synctest.Wait()
		if stats := s.Stats(); stats.Open != 0 || stats.InFlight != 0 || s.buffered.Load() != 0 {
			t.Errorf("Stats() = %+v with %d octets buffered, want nothing left", stats, s.buffered.Load())
		}
	})
}

func TestAPanicCostsOneMessage(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newSheet(Options{})
		c := s.connect("192.0.2.1:1").reads()
		defer c.Close()
		c.say("one", "panic", "two")
		c.check(t, "one", "two")
		if stats := s.Stats(); stats.Panics != 1 || !strings.Contains(stats.LastPanic, "as asked") {
			t.Errorf("Stats() = %+v, want the panic", stats)
		}
	})
}

// sink is a connection that takes everything.
type sink struct{ net.Conn }

func (sink) Write(octets []byte) (int, error) { return len(octets), nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

func TestAnsweringInPlaceDoesNotAllocate(t *testing.T) {
	s := newServer(Options{})
	s.employ(1, func() Worker { return echo{} })
	c := newConnection(s, sink{}, netip.AddrPort{}, netip.AddrPort{})
	c.in = framed("one", "", "two", strings.Repeat("x", 300))
	c.end = len(c.in)
	allocations := testing.AllocsPerRun(100, func() {
		c.start = 0
		c.answerAll()
	})
	if allocations != 0 {
		t.Errorf("answering three messages allocates %v times, want 0", allocations)
	}
}
