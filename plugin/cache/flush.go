package cache

import (
	"bytes"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// flushing is one Flush at work.
type flushing struct {
	// name is in wire form and lower case; suffix: it stands for those below it, too.
	name   []byte
	suffix bool
	done   Flushed
}

// empty removes from a shard what is to go.
func (f *flushing) empty(s *shard) {
	for _, from := range [...]*list{s.answers, s.failures, s.denials} {
		if hashes := f.choose(s, from); len(hashes) > 0 {
			f.remove(s, from, hashes)
		}
	}
}

// choose returns the hashes of what is to go. To read every chain of a large shard takes
// milliseconds, so queries do not wait for it: entries never change.
func (f *flushing) choose(s *shard, from *list) []uint64 {
	s.mutex.Lock()
	hashes, values := from.Keys(), from.Values()
	s.mutex.Unlock()
	chosen := hashes[:0]
	for index, value := range values {
		if f.covers(value.entry.name()) || f.isOnChain(value.entry) {
			chosen = append(chosen, hashes[index])
		}
	}
	return chosen
}

// remove removes what was chosen, unless something else has come in its place.
func (f *flushing) remove(s *shard, from *list, hashes []uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	before := f.done.Count()
	for _, hash := range hashes {
		value, ok := from.Peek(hash)
		if !ok {
			continue
		}
		own := f.covers(value.entry.name())
		if !own && !f.isOnChain(value.entry) {
			continue
		}
		from.Remove(hash)
		switch {
		case from == s.denials: // an answer once more, which is counted where it is one
		case own:
			f.done.Own++
		default:
			question := wire.StoredQuestion(value.entry.Message())
			f.done.Through = append(f.done.Through, question.Presentation())
		}
	}
	s.stats.Flushed += uint64(f.done.Count() - before)
}

// covers reports whether a name, in wire form and lower case, is meant.
func (f *flushing) covers(name []byte) bool {
	if f.suffix {
		return isBelow(name, f.name)
	}
	return bytes.Equal(name, f.name)
}

// isOnChain reports whether a name that is meant is on the chain of an answer: such an
// answer tells what was true of it.
func (f *flushing) isOnChain(entry Entry) bool {
	answers := wire.AnswersOf(entry.Message())
	var target wire.Name
	for record, more := answers.Next(); more; record, more = answers.Next() {
		if record.Type() == dns.TypeCNAME && record.Target(&target) && f.covers(target.Wire()) {
			return true
		}
	}
	return false
}
