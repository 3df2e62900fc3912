package wire

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// ErrName says that a name cannot be written in wire form.
var ErrName = errors.New("not a domain name")

// Question is what is asked, in one form whatever the client's spelling: the name
// is in lower case and not compressed. It is a value that shares nothing with the
// packet it was read from, and it can be compared with == and be a map's key. The
// zero value has no name.
type Question struct {
	// The bytes behind the name are zero, so that equal questions are equal arrays.
	name   [maxNameSize]byte
	length uint8
	// Type is the QTYPE, such as dns.TypeA.
	Type uint16
	// Class is the QCLASS, nearly always dns.ClassINET.
	Class uint16
}

// NewQuestion makes a question from a fully qualified name in presentation form,
// in any case. The error wraps ErrName.
func NewQuestion(name string, qtype, class uint16) (Question, error) {
	question := Question{Type: qtype, Class: class}
	length, err := packName(name, &question.name)
	if err != nil {
		return Question{}, err
	}
	question.length = uint8(length)
	lowerName(question.name[:length])
	return question, nil
}

// Name returns the name in wire form, lower case, its root label included. It is
// part of q and must not be changed. It is empty where q has no name.
func (q *Question) Name() []byte { return q.name[:q.length] }

// Presentation returns the name as miekg/dns prints it: lower case, fully
// qualified. It allocates. It is empty where q has no name.
func (q *Question) Presentation() string {
	if q.length == 0 {
		return ""
	}
	name, _, err := dns.UnpackDomainName(q.Name(), 0)
	if err != nil {
		return ""
	}
	return name
}

// packName writes a name in wire form and returns its length, 1 to 255.
func packName(name string, to *[maxNameSize]byte) (int, error) {
	// An empty name packs to nothing, without an error.
	if name == "" {
		return 0, fmt.Errorf("%w: the name is empty", ErrName)
	}
	if _, valid := dns.IsDomainName(name); !valid {
		return 0, fmt.Errorf("%w: %q", ErrName, name)
	}
	length, err := dns.PackDomainName(name, to[:], 0, nil, false)
	if err != nil {
		return 0, fmt.Errorf("%w: %q: %w", ErrName, name, err)
	}
	return length, nil
}

// lowerName lowers the ASCII letters of a name in wire form (RFC 4343). Label
// lengths are below 64 and so are no letters.
func lowerName(name []byte) {
	for i, c := range name {
		name[i] = lower(c)
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
