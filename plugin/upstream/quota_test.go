package upstream

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// askMany asks many questions at the same time, with the patience of a client, and fails
// the test for each that gets no answer.
func askMany(t *testing.T, s *Server, questions int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for n := range questions {
		group.Go(func() {
			q, _ := numbered(n)
			if answer, err := s.Exchange(ctx, q); err != nil || answer.Msg.Question[0].Name != q.Name {
				t.Errorf("Exchange(%s) = %v, %v", q.Name, answer, err)
			}
		})
	}
	group.Wait()
}

// A server that closes each connection after some replies, with others pending, costs
// each question two tries at most, once, and no failure: then connections are given as
// much as they take.
func TestConnectionsThatTakeFewQuestions(t *testing.T) {
	const questions = 100
	for _, eager := range []bool{false, true} {
		for _, lasts := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%d replies, eager %v", lasts, eager), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, m := overTCP(t, after(5*ms, always(t, nil)))
					m.closeAfter(lasts, eager)
					s.SetBudget(Azure())
					askMany(t, s, questions)
					if got := len(m.times(time.Now())); got > 2*questions {
						t.Errorf("%d questions were sent %d times, want twice each at most", questions, got)
					}
					synctest.Wait()
					before, opened := len(m.times(time.Now())), m.connected()
					askMany(t, s, questions)
					if got := len(m.times(time.Now())) - before; got != questions {
						t.Errorf("%d more were sent %d times, want once each", questions, got)
					}
					if got, most := m.connected()-opened, questions/lasts+manyStreams; got > most || m.most > manyStreams {
						t.Errorf("over %d connections, %d at once; want no more than %d, %d at once", got, m.most, most, manyStreams)
					}
					if s.Health().Suspected {
						t.Errorf("Health() = %+v, want no suspicion", s.Health())
					}
					s.Close()
				})
			})
		}
	}
}

// What was learned is forgotten: the server may just have been restarted.
func TestQuotaIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := overTCP(t, after(5*ms, always(t, nil)))
		m.closeAfter(1, false)
		askMany(t, s, crowded)
		m.closeAfter(0, false)
		elapse(quotaLasts)
		before := m.connected()
		askMany(t, s, crowded)
		if got := m.connected() - before; got != 1 {
			t.Errorf("%d connections for %d questions, want 1", got, crowded)
		}
		s.Close()
	})
}

// A question that the server closes the connection for is not sent for ever, and does no
// harm to others.
func TestQuestionThatClosesConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		poison := testQuestion
		poison.Name = "poison.example.org."
		var mu sync.Mutex
		sent := 0
		s, m := overTCP(t, after(5*ms, func(transport Transport, query []byte, send func([]byte)) {
			if strings.Contains(string(query), "poison") {
				mu.Lock()
				sent++
				mu.Unlock()
				hangUp(transport, query, send)
				return
			}
			always(t, nil)(transport, query, send)
		}))
		var group sync.WaitGroup
		group.Go(func() {
			if answer, err := s.Exchange(t.Context(), poison); err == nil {
				t.Errorf("Exchange = %v, want an error", answer)
			}
		})
		group.Go(func() { askMany(t, s, 2*crowded) })
		group.Wait()
		if sent > maxTries || m.connected() > 2*crowded+maxTries+maxStreams {
			t.Errorf("sent %d times, over %d connections in all; want %d times at most", sent, m.connected(), maxTries)
		}
		s.Close()
	})
}

// On real sockets a server that closes a connection with questions unread takes with it
// what was to be sent, and what has come before must still be read.
func TestConnectionsThatAreCutOff(t *testing.T) {
	for _, lasts := range []int{1, 2, 5} {
		t.Run(fmt.Sprintf("%d replies", lasts), func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go cutOffAfter(t, listener, lasts)
			s, err := Open(listener.Addr().(*net.TCPAddr).AddrPort(), Options{Transport: TCP})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var group sync.WaitGroup
			ctx := within(t)
			for n := range 200 {
				group.Go(func() {
					q, _ := numbered(n)
					if _, err := s.Exchange(ctx, q); err != nil {
						t.Errorf("Exchange(%s) = %v", q.Name, err)
					}
				})
			}
			group.Wait()
		})
	}
}

// cutOffAfter serves a few replies on each connection and closes it.
func cutOffAfter(t *testing.T, listener net.Listener, lasts int) {
	for {
		accepted, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer accepted.Close()
			conn := dns.Conn{Conn: accepted}
			for range lasts {
				query, err := conn.ReadMsgHeader(nil)
				if err != nil {
					return
				}
				_, _ = conn.Write(reply(t, query, nil))
			}
		}()
	}
}
