package cache

import (
	"bytes"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/miekg/dns"
)

// denialShare is the part of the entries that denials may be.
const denialShare = 8

// putDenial notes that a name does not exist, whatever type is asked for (RFC 2308
// section 5). An NXDOMAIN behind a chain is about another name and does not say so, and
// one to a question for DS is the word of the zone above.
func (c *Cache) putDenial(key *Key, entry Entry) {
	if entry.Kind() != NXDomain && !c.denials.Load() {
		return // there is none, and this is none
	}
	name := key.Question.Name()
	hash := c.hashName(name, key)
	s := c.shardOf(hash)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if key.Question.Type != dns.TypeDS && entry.Kind() == NXDomain && entry.Kept() && entry.answers() == 0 {
		s.add(s.denials, hash, entry)
		c.denials.Store(true)
		return
	}
	if found, ok := s.denials.Peek(hash); ok && found.entry.denies(name, key) {
		s.denials.Remove(hash)
	}
}

// denyStale makes an answer of what is known about another type of the name, in place of
// a hit that is no fresh one. An expired answer that is older than the denial is gone for
// good, also when the denial has expired too: the name may exist again, but not as it did.
// Names below it are asked for: servers that say NXDOMAIN of a name which only has names
// below it are too common to believe them so much (RFC 8020 section 3.2 allows that).
func (c *Cache) denyStale(hit Hit, hash uint64, key *Key, now time.Time) Hit {
	denial, found := c.denialOf(key.Question.Name(), key, steady(now))
	if !found || hit.State == Stale && denial.stored() < hit.Entry.stored() {
		return hit
	}
	if hit.State == Stale && hit.Entry.Kind() != NXDomain {
		c.shardOf(hash).dropContradicted(hash, key)
		hit = Hit{}
	}
	if retold, alive := denial.retold(key, now); alive {
		return Hit{State: Fresh, Entry: retold}
	}
	return hit
}

// denialOf finds the denial of a name. It may have expired.
func (c *Cache) denialOf(name []byte, key *Key, now int64) (Entry, bool) {
	hash := c.hashName(name, key)
	s := c.shardOf(hash)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	found, ok := s.denials.Get(hash)
	if !ok || !found.entry.denies(name, key) {
		return Entry{}, false
	}
	if now >= found.entry.end() || found.entry.stored()-now > maxAhead {
		s.denials.Remove(hash)
		return Entry{}, false
	}
	return found.entry, true
}

// denies reports whether an entry is about a name, for the flags and the view of a key.
func (e Entry) denies(name []byte, key *Key) bool {
	const wanted = flagDO | flagCD
	return e.block[atFlags]&wanted == key.flags() && string(e.view()) == key.View && bytes.Equal(e.name(), name)
}

// answers is the number of records in the answer section.
func (e Entry) answers() int { return int(e.Message()[6])<<8 | int(e.Message()[7]) }

// retold is the same answer to another question, for the rest of its life.
func (e Entry) retold(key *Key, now time.Time) (Entry, bool) {
	message := new(dns.Msg)
	if message.Unpack(e.Message()) != nil {
		return Entry{}, false
	}
	rest := time.Duration(e.expires() - steady(now))
	if rest < time.Second {
		return Entry{}, false
	}
	stale := time.Duration(e.end() - e.expires())
	made, err := Make(key, message, e.Meta(), Lifetimes{MaxTTL: rest, MaxNegativeTTL: rest, MaxStale: stale}, now)
	return made, err == nil
}

// hashName is the hash of a name, for a key's flags and view, whatever its type.
func (c *Cache) hashName(name []byte, key *Key) uint64 {
	var digest xxhash.Digest
	digest.ResetWithSeed(c.seed)
	_, _ = digest.Write(name)
	fixed := [...]byte{byte(key.Question.Class >> 8), byte(key.Question.Class), key.flags()}
	_, _ = digest.Write(fixed[:])
	_, _ = digest.WriteString(key.View)
	return digest.Sum64()
}
