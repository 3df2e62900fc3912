package upstream

import "encoding/binary"

// restore gives a whole reply the question's spelling, whatever the server has made of
// it: in the question section, which compressed names point into, and in the owners of
// records that are the question's name, written out.
func restore(wire, question []byte) {
	copy(wire[headerSize:], question)
	name := question[:len(question)-typeAndClass]
	records := 0
	for count := 6; count < headerSize; count += 2 {
		records += int(binary.BigEndian.Uint16(wire[count:]))
	}
	at := headerSize + len(question)
	for range records {
		// What points to the question has its spelling by now.
		if pointed := wire[at] == 0xc0 && wire[at+1] == headerSize; !pointed && spells(wire, at, name, false) {
			spells(wire, at, name, true)
		}
		at = skipRecord(wire, at)
	}
}

// spells reports whether the name at an offset, compressed or not, is this one in any
// case, and overwrites its labels with this one's where told to.
func spells(wire []byte, at int, name []byte, overwrite bool) bool {
	for i := 0; ; {
		var ok bool
		if at, ok = follow(wire, at); !ok {
			return false
		}
		// Labels that are equal in all but case have lengths that are equal.
		end := 1 + int(name[i])
		if at+end > len(wire) || !equalFold(wire[at:at+end], name[i:i+end]) {
			return false
		}
		if overwrite {
			copy(wire[at:], name[i:i+end])
		}
		if i += end; i == len(name) {
			return true
		}
		at += end
	}
}

// follow returns where the label is that stands at an offset or that a pointer there
// leads to. Each pointer must lead back (RFC 1035 section 4.1.4), so it ends.
func follow(wire []byte, at int) (label int, ok bool) {
	for at+1 < len(wire) && wire[at] >= 0xc0 {
		to := int(binary.BigEndian.Uint16(wire[at:]) & 0x3fff)
		if to >= at || to < headerSize {
			return 0, false
		}
		at = to
	}
	return at, at < len(wire)
}

// equalFold reports whether two labels of the same length are equal but for the case of
// ASCII letters (RFC 4343).
func equalFold(a, b []byte) bool {
	for i, c := range b {
		if lower(a[i]) != lower(c) {
			return false
		}
	}
	return true
}
