package upstream

import (
	"errors"
	"time"
)

// errSpelling says that a reply had the question in another spelling than ours, from
// a server that has kept ours so far: it may be forged. TCP tells.
var errSpelling = errors.New("reply in another spelling")

const (
	// proven is the number of replies in a row that kept our spelling after which
	// another one is suspect. Before, it only shows that the server does not keep it.
	proven = 8
	// disproven is the number of replies in a row that did not: the server has changed.
	disproven = 3
	// spellAgain is how long a server that does not keep our spelling is asked in lower
	// case.
	spellAgain = 10 * time.Minute
)

// spelling is what is known of how a server treats the case of letters: nearly all
// copy the question into the reply as it came, so that a random spelling is one more
// thing for a forger to guess (draft-vixie-dnsext-dns0x20). It is a value without a
// clock or lock.
type spelling struct {
	kept, changed int       // replies in a row
	until         time.Time // lower case until then
}

// random reports whether to spell at random.
func (s *spelling) random(now time.Time) bool { return !now.Before(s.until) }

// judge takes in whether a reply had our spelling, and reports whether the reply may
// be believed.
func (s *spelling) judge(same bool, now time.Time) bool {
	if same {
		s.kept, s.changed = s.kept+1, 0
		return true
	}
	s.changed++
	if s.kept < proven || s.changed >= disproven {
		*s = spelling{until: now.Add(spellAgain)}
		return true
	}
	return false
}

// respell gives the letters of a question section's name a random case, in place. An
// escaped or binary label is left with the bytes it has.
func respell(question []byte, random func() uint64) {
	var bits uint64
	for i, c := range question[:len(question)-typeAndClass] {
		if i%64 == 0 {
			bits = random()
		}
		// Lengths of labels are below 64 and no letters.
		if 'a' <= c && c <= 'z' && bits&1 == 1 {
			question[i] = c - 'a' + 'A'
		}
		bits >>= 1
	}
}
