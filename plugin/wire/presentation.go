package wire

import (
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// AppendPresentation appends the question's name as miekg/dns prints it, lower
// case and fully qualified, and returns the longer buffer. It appends nothing
// where q has no name, and allocates nothing where the buffer has room for 1004
// bytes.
func (q *Question) AppendPresentation(buffer []byte) []byte {
	if q.length == 0 {
		return buffer
	}
	return appendPresentation(buffer, q.name[:q.length])
}

// appendPresentation appends a name that is written out in wire form.
func appendPresentation(buffer, name []byte) []byte {
	if name[0] == 0 {
		return append(buffer, '.')
	}
	for at := 0; name[at] != 0; at += 1 + int(name[at]) {
		buffer = append(appendLabel(buffer, name[at+1:at+1+int(name[at])]), '.')
	}
	return buffer
}

// appendLabel appends a label, nearly always at once.
func appendLabel(buffer, label []byte) []byte {
	for i, c := range label {
		if !plainCharacter(c) {
			buffer = append(buffer, label[:i]...)
			for _, c := range label[i:] {
				buffer = appendCharacter(buffer, c)
			}
			return buffer
		}
	}
	return append(buffer, label...)
}

// plainCharacter reports whether a character is one of those that most names have, and
// that stand for themselves.
func plainCharacter(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}

// appendCharacter escapes what has a meaning in a zone file (RFC 1035 section 5.1).
func appendCharacter(buffer []byte, c byte) []byte {
	switch {
	case plainCharacter(c):
		return append(buffer, c)
	case c == '.', c == ' ', c == '\'', c == '@', c == ';', c == '(', c == ')', c == '"', c == '\\':
		return append(buffer, '\\', c)
	case c < ' ', c > '~':
		return append(buffer, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	default:
		return append(buffer, c)
	}
}

// CanonicalName returns a name in presentation form fully qualified and with its ASCII
// letters in lower case, as dns.CanonicalName does, for a fraction of the work: the name
// itself where it is so.
func CanonicalName(name string) string {
	if !dns.IsFqdn(name) {
		return dns.CanonicalName(name)
	}
	lowered := true
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return dns.CanonicalName(name)
		}
		lowered = lowered && lower(name[i]) == name[i]
	}
	if lowered {
		return name
	}
	return strings.ToLower(name)
}

// SameName reports whether a name in presentation form, in any case, is another one,
// which is in lower case. Both are fully qualified.
func SameName(name, owner string) bool {
	if name == owner || len(name) != len(owner) {
		return name == owner
	}
	for i := range len(name) {
		if lower(name[i]) != owner[i] {
			return false
		}
	}
	return true
}
