package catalog

import "math/bits"

const (
	// maxLabels is the most labels a name can have: 255 octets hold 127
	// one-octet labels and the root (RFC 1035 section 2.3.4).
	maxLabels = 127
	// maxNameLength bounds the presentation form of a name: each of the 255
	// octets may be written as "\DDD".
	maxNameLength = 4 * 255
	// maxTextLength is how long a name without escapes and final dot can be:
	// the root and the length of the leftmost label take two octets.
	maxTextLength = 253
)

// labelStarts is where the labels of one name begin, counted from the right:
// element 1 is the start of the rightmost label, element 0 that of the root's
// dot. It lives on the stack of one look-up.
type labelStarts [maxLabels + 1]uint16

// fill notes the starts of the rightmost labels of name, at most limit of
// them, and returns how many it noted, or -1 if name is not fully qualified.
// It works from the right because everything loaded is a suffix: a long name
// then costs no more than the longest suffix.
func (at *labelStarts) fill(name string, limit int) int {
	end := len(name) - 1
	if end < 0 || end >= maxNameLength || name[end] != '.' {
		return -1
	}
	at[0] = uint16(end)
	if end == 0 {
		return 0
	}
	limit = min(limit, maxLabels)
	if len(name) < 8 {
		return at.walk(name, limit)
	}
	return at.scan(name, limit)
}

// scan is fill for names of eight bytes and more, 64 bytes at a time.
func (at *labelStarts) scan(name string, limit int) int {
	count := 0
	for right := len(name) - 1; count < limit; {
		base := max(0, right-64)
		dots, plain := dotsFrom(name, base)
		if !plain {
			return at.walk(name, limit)
		}
		dots &= 1<<(right-base) - 1
		for count < limit && dots != 0 {
			past := bits.Len64(dots)
			dots &^= 1 << ((past - 1) & 63)
			count++
			at[count&maxLabels] = uint16(base + past)
		}
		if right = base; right == 0 {
			break
		}
	}
	// Left of the last dot there is one more label.
	if count < limit {
		count++
		at[count&maxLabels] = 0
	}
	return count
}

// walk is fill one byte at a time, for very short names and those with escapes.
func (at *labelStarts) walk(name string, limit int) int {
	count := 0
	for i := len(name) - 2; i >= 0; i-- {
		if name[i] != '.' || escaped(name, i) {
			continue
		}
		if count == limit {
			return count
		}
		count++
		at[count] = uint16(i + 1)
	}
	if count < limit {
		count++
		at[count] = 0
	}
	return count
}

// label returns the label that is number d from the right, 1 being the
// rightmost; fill must have noted d labels.
func (at *labelStarts) label(name string, d int) string {
	if d == 1 {
		return name[at[1]:at[0]]
	}
	return name[at[d] : at[d-1]-1]
}

// escaped tells whether the byte at i is taken literally: an odd number of
// backslashes stands before it, as in "a\.b", but not in "a\\.b".
func escaped(name string, i int) bool {
	first := i
	for first > 0 && name[first-1] == '\\' {
		first--
	}
	return (i-first)%2 == 1
}

// dotsFrom finds the dots in the 64 bytes of name from base on, bit i for the
// byte at base+i. It is not plain if a backslash is among them or before them.
// At least eight bytes must be there. Eight are looked at together: labels are
// of random length, so that a loop over the bytes mispredicts at nearly every
// dot, which costs more than all the rest of a look-up.
func dotsFrom(name string, base int) (dots uint64, plain bool) {
	if base > 0 && name[base-1] == '\\' {
		return 0, false
	}
	name = name[base:min(base+64, len(name))]
	const everyDot, everyBackslash = 0x2e2e2e2e2e2e2e2e, 0x5c5c5c5c5c5c5c5c
	var backslashes uint64
	i := 0
	for ; i+8 <= len(name); i += 8 {
		eight := eightBytes(name[i:])
		backslashes |= zeroBytes(eight ^ everyBackslash)
		dots |= gather(zeroBytes(eight^everyDot)) << (i & 63)
	}
	if i < len(name) {
		// The last eight bytes overlap those before: the same bits are set
		// twice.
		i = len(name) - 8
		eight := eightBytes(name[i:])
		backslashes |= zeroBytes(eight ^ everyBackslash)
		dots |= gather(zeroBytes(eight^everyDot)) << (i & 63)
	}
	return dots, backslashes == 0
}

// eightBytes reads the first eight bytes of s, the first byte lowest. The
// compiler makes one load of it.
func eightBytes(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// zeroBytes sets the highest bit of each byte of x that is zero and no other.
func zeroBytes(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^((x&low + low) | x | low)
}

// gather brings the highest bits of the eight bytes of x together in the
// lowest byte.
func gather(x uint64) uint64 {
	return (x >> 7) * 0x0102040810204080 >> 56
}

// nextLabel splits the leftmost label off a name or a part of one. Both halves
// lack the dot between them.
func nextLabel(name string) (label, rest string) {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case '.':
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

// HasPrivatelinkLabel tells whether any label of name is exactly privatelink
// or privatelink-global. It knows nothing of what is catalogued, so it also
// finds names that lead to zones the catalog does not know. Name must be in
// lower case. It does not allocate.
func HasPrivatelinkLabel(name string) bool {
	for label, rest := nextLabel(name); label != "" || rest != ""; label, rest = nextLabel(rest) {
		if isPrivatelink(label) {
			return true
		}
	}
	return false
}

// isPrivatelink tells whether a label marks a private zone. Virtual Desktop is
// the one service with a second spelling.
func isPrivatelink(label string) bool {
	return label == "privatelink" || label == "privatelink-global"
}
