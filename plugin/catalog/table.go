package catalog

import (
	"hash/maphash"
	"strings"
)

// table is a hash table from names to values that is only added to. It takes
// the place of Go's map in Suffixes because of what happens at 100,000 names:
// most look-ups ask for suffixes that are not there, and here such a question
// reads one byte of marks, a quarter of a megabyte that stays in the cache,
// where the map reads a group of slots in megabytes that do not.
type table[V any] struct {
	seed maphash.Seed
	// marks has one byte of the hash for each slot, never zero; zero marks
	// the slot as free. Its length is a power of two.
	marks []uint8
	slots []slot[V]
	count int
}

type slot[V any] struct {
	name  string
	value V
}

// find returns where the value for name is kept, nil if name is not there. The
// pointer is good until the next insert.
func (t *table[V]) find(name string) *V {
	if t.count == 0 {
		return nil
	}
	hash := maphash.String(t.seed, name)
	mark := markOf(hash)
	marks := t.marks
	for i := hash; ; i++ {
		// The mask is what lets the compiler leave out the bounds check.
		at := i & uint64(len(marks)-1)
		switch marks[at] {
		case mark:
			if s := &t.slots[at]; s.name == name {
				return &s.value
			}
		case 0:
			return nil
		}
	}
}

// anyBelow tells whether a name below suffix is there.
func (t *table[V]) anyBelow(suffix string) bool {
	for i := range t.slots {
		// Free slots have no name, which is below nothing.
		if rest, below := strings.CutSuffix(t.slots[i].name, suffix); below && strings.HasSuffix(rest, ".") {
			return true
		}
	}
	return false
}

// insert adds a name that is not there.
func (t *table[V]) insert(name string, value V) {
	if t.count == 0 {
		t.seed = maphash.MakeSeed()
	}
	// At most half full, a question for a missing name reads 1.5 marks.
	if 2*t.count >= len(t.marks) {
		t.grow()
	}
	t.place(slot[V]{name: name, value: value})
	t.count++
}

// grow doubles the table.
func (t *table[V]) grow() {
	marks, slots := t.marks, t.slots
	size := max(16, 2*len(marks))
	t.marks, t.slots = make([]uint8, size), make([]slot[V], size)
	for i, mark := range marks {
		if mark != 0 {
			t.place(slots[i])
		}
	}
}

// place puts a slot at the first free place of its name.
func (t *table[V]) place(s slot[V]) {
	hash := maphash.String(t.seed, s.name)
	mask := uint64(len(t.marks) - 1)
	i := hash & mask
	for t.marks[i] != 0 {
		i = (i + 1) & mask
	}
	t.marks[i], t.slots[i] = markOf(hash), s
}

// markOf takes the mark from the bits of the hash that do not choose the slot,
// with zero moved out of the way.
func markOf(hash uint64) uint8 {
	return max(uint8(hash>>56), 1)
}
