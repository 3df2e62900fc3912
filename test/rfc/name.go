//go:build linux

package rfc

import (
	"fmt"
	"strings"
)

// name is a domain name in wire form, without compression, spelled as it was
// written.
type name string

// root is the name without labels.
const root = name("\x00")

// nameOf makes a name of labels, which may hold any byte.
func nameOf(labels ...string) name {
	var wire strings.Builder
	for _, label := range labels {
		wire.WriteByte(byte(len(label)))
		wire.WriteString(label)
	}
	wire.WriteByte(0)
	return name(wire.String())
}

// under puts labels in front of a name.
func (n name) under(labels ...string) name {
	return name(strings.TrimSuffix(string(nameOf(labels...)), "\x00")) + n
}

// labels splits a name that is whole.
func (n name) labels() []string {
	var list []string
	for at := 0; at < len(n) && n[at] != 0; {
		end := min(at+1+int(n[at]), len(n))
		list = append(list, string(n[at+1:end]))
		at = end
	}
	return list
}

// folded is the name in lower case: lengths are below 64 and cannot be letters.
func (n name) folded() name {
	bytes := []byte(n)
	for index, c := range bytes {
		if 'A' <= c && c <= 'Z' {
			bytes[index] = c + 'a' - 'A'
		}
	}
	return name(bytes)
}

// swapped is the name with the case of every letter changed.
func (n name) swapped() name {
	bytes := []byte(n)
	for index, c := range bytes {
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			bytes[index] = c ^ 0x20
		}
	}
	return name(bytes)
}

// is compares names as RFC 4343 has it.
func (n name) is(other name) bool { return n.folded() == other.folded() }

// String returns the presentation form.
func (n name) String() string {
	if n == root {
		return "."
	}
	var text strings.Builder
	for _, label := range n.labels() {
		for _, c := range []byte(label) {
			switch {
			case c == '.' || c == '\\':
				text.WriteByte('\\')
				text.WriteByte(c)
			case c <= ' ' || c > '~':
				fmt.Fprintf(&text, "\\%03d", c)
			default:
				text.WriteByte(c)
			}
		}
		text.WriteByte('.')
	}
	return text.String()
}
