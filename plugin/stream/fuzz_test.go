package stream

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
)

// FuzzMessages sends any octets in any pieces: every whole message, and nothing else,
// comes to the worker, and every reply arrives.
func FuzzMessages(f *testing.F) {
	f.Add(framed("one", "two"), []byte{1, 3})
	f.Add(framed("", "", "x"), []byte{2})
	f.Add([]byte{0xff, 0xff, 1, 2, 3}, []byte{0})
	f.Add(append(framed(string(make([]byte, 5000))), 0), []byte{200, 1})
	f.Fuzz(func(t *testing.T, octets, pieces []byte) {
		s := newServer(Options{})
		var taken []byte
		s.employ(1, func() Worker {
			return echo{answer: func(message []byte, _ *Connection, buffer []byte) []byte {
				taken = append(taken, message...)
				return append(buffer, message...)
			}}
		})
		ours, theirs := net.Pipe()
		s.take(&finite{Conn: ours, left: len(octets)}, netip.AddrPort{}, netip.AddrPort{})
		replies := make(chan []byte)
		go func() {
			all, _ := io.ReadAll(theirs)
			replies <- all
		}()
		for rest := octets; len(rest) > 0; {
			size := len(rest)
			if len(pieces) > 0 {
				size, pieces = min(int(pieces[0])+1, len(rest)), pieces[1:]
			}
			if _, err := theirs.Write(rest[:size]); err != nil {
				t.Fatal(err)
			}
			rest = rest[size:]
		}
		got := <-replies
		s.connections.Wait()
		wantTaken, wantReplies := reference(octets)
		if !bytes.Equal(taken, wantTaken) || !bytes.Equal(got, wantReplies) {
			t.Errorf("messages %x and replies %x, want %x and %x", taken, got, wantTaken, wantReplies)
		}
		if left := s.buffered.Load(); left != 0 {
			t.Errorf("%d octets are buffered in the end, want 0", left)
		}
	})
}

// finite is a connection whose client has finished sending after some octets, which
// a pipe alone cannot tell.
type finite struct {
	net.Conn
	left int
}

func (f *finite) Read(room []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.Conn.Read(room)
	f.left -= n
	return n, err
}

// reference reads messages in the plainest way.
func reference(octets []byte) (messages, replies []byte) {
	for len(octets) >= 2 {
		length := int(binary.BigEndian.Uint16(octets))
		if len(octets) < 2+length {
			break
		}
		messages = append(messages, octets[2:2+length]...)
		if length > 0 {
			replies = append(replies, octets[:2+length]...)
		}
		octets = octets[2+length:]
	}
	return messages, replies
}
