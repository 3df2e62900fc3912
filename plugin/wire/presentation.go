package wire

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
		for _, c := range name[at+1 : at+1+int(name[at])] {
			buffer = appendCharacter(buffer, c)
		}
		buffer = append(buffer, '.')
	}
	return buffer
}

// appendCharacter escapes what has a meaning in a zone file (RFC 1035 section 5.1).
func appendCharacter(buffer []byte, c byte) []byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		return append(buffer, c)
	case c == '.', c == ' ', c == '\'', c == '@', c == ';', c == '(', c == ')', c == '"', c == '\\':
		return append(buffer, '\\', c)
	case c < ' ', c > '~':
		return append(buffer, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	default:
		return append(buffer, c)
	}
}
