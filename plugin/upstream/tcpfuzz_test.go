package upstream

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzReadMessage: whatever a server sends over a stream is cut into messages of the
// lengths that it announces, or is an error; nothing is read of what comes after one.
func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{0, 0})
	f.Add([]byte{0, 3, 'a', 'b', 'c', 0, 1, 'd'})
	f.Add([]byte{0xff, 0xff, 'a'})
	f.Fuzz(func(t *testing.T, sent []byte) {
		stream := bytes.NewReader(sent)
		var again []byte
		for {
			message, err := readMessage(stream)
			if err != nil {
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("readMessage(%x) = %v, want an unexpected end", sent, err)
				}
				break
			}
			again = append(append(again, byte(len(message)>>8), byte(len(message))), message...)
			if !bytes.HasPrefix(sent, again) || stream.Len() != len(sent)-len(again) {
				t.Fatalf("readMessage(%x) has read %x", sent, again)
			}
		}
	})
}
