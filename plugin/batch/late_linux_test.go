package batch

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

// TestLateRepliesAtOnce replies to many clients from many goroutines: each gets its own.
func TestLateRepliesAtOnce(t *testing.T) {
	const clients = 3*size + 5
	type question struct {
		peer Peer
		text string
	}
	questions := make(chan question, clients)
	g := serve(t, "0.0.0.0:0", 2, &replier{answer: func(datagram []byte, peer Peer, buffer []byte) []byte {
		questions <- question{peer, string(datagram)}
		return buffer
	}})
	var replying sync.WaitGroup
	long := bytes.Repeat([]byte("."), maxLate)
	ends := make([]func() string, clients)
	for number := range clients {
		asked := netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + number%250)})
		conn := client(t, netip.AddrPortFrom(asked, g.Addr().Port()))
		if _, err := fmt.Fprintf(conn, "%d", number); err != nil {
			t.Fatal(err)
		}
		ends[number] = func() string { return hear(t, conn) }
	}
	for range clients {
		q := <-questions
		replying.Go(func() {
			reply := []byte("reply to " + q.text)
			if len(q.text) == 2 {
				reply = append(reply, long...) // leaves alone
			}
			if err := g.Reply(q.peer, reply); err != nil {
				t.Error(err)
			}
			clear(reply) // it is the caller's again
		})
	}
	replying.Wait()
	for number, end := range ends {
		want := fmt.Sprintf("reply to %d", number)
		if number >= 10 && number < 100 {
			want += string(long)
		}
		if got := end(); got != want {
			t.Errorf("client %d got %.40q, want %.40q", number, got, want)
		}
	}
	if stats := g.Stats(); stats.Sent != clients || stats.SendErrors != 0 {
		t.Errorf("sent %d with %d errors, want %d with none", stats.Sent, stats.SendErrors, clients)
	}
}

// TestLateBatch: the first has to send, those after it are taken until it is full, and
// after it was gathered there is a new first.
func TestLateBatch(t *testing.T) {
	var replies lateReplies
	peer := Peer{Remote: netip.MustParseAddrPort("192.0.2.1:53")}
	s := &socket{}
	for number := range size + 1 {
		batch, first, taken := replies.bring(s, &peer, []byte("reply"))
		if wantFirst, wantTaken := number == 0, number < size; first != wantFirst || taken != wantTaken {
			t.Errorf("reply %d: first = %v, taken = %v, want %v, %v", number, first, taken, wantFirst, wantTaken)
		}
		if want := min(number+1, size); batch.count != want {
			t.Errorf("reply %d: %d in the batch, want %d", number, batch.count, want)
		}
	}
	replies.gather()
	if _, first, taken := replies.bring(s, &peer, []byte("reply")); !first || !taken {
		t.Errorf("after the batch was gathered: first = %v, taken = %v, want both", first, taken)
	}
}
