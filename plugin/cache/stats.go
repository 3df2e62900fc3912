package cache

// Stats are counts since the cache was made, but for Entries, Failures and Bytes,
// which are now.
type Stats struct {
	// Entries and Failures are how many are kept.
	Entries, Failures int
	// Bytes is the memory they take, as Limits counts it.
	Bytes int64
	// Fresh, Due, Stale, Failed and Missed count look-ups by what they found.
	Fresh, Due, Stale, Failed, Missed uint64
	// EvictedByEntries and EvictedByBytes count what a limit put out.
	EvictedByEntries, EvictedByBytes uint64
	// Expired counts answers that were too old, found when they were looked up.
	Expired uint64
	// Flushed counts what Flush removed.
	Flushed uint64
	// Restored counts what ReadSnapshot brought in.
	Restored uint64
}

func (s *Stats) count(state State) {
	switch state {
	case Fresh:
		s.Fresh++
	case Due:
		s.Due++
	case Stale:
		s.Stale++
	case Failed:
		s.Failed++
	case Miss:
		s.Missed++
	}
}

func (s *Stats) add(other *Stats) {
	s.Fresh += other.Fresh
	s.Due += other.Due
	s.Stale += other.Stale
	s.Failed += other.Failed
	s.Missed += other.Missed
	s.EvictedByEntries += other.EvictedByEntries
	s.EvictedByBytes += other.EvictedByBytes
	s.Expired += other.Expired
	s.Flushed += other.Flushed
	s.Restored += other.Restored
}

// Stats returns the counts. Under load they are of slightly different moments.
func (c *Cache) Stats() Stats {
	var sum Stats
	for _, s := range c.shards {
		s.mutex.Lock()
		sum.add(&s.stats)
		sum.Entries += s.answers.Len()
		sum.Failures += s.failures.Len()
		sum.Bytes += s.bytes
		s.mutex.Unlock()
	}
	return sum
}

// Len returns how many answers are kept, expired ones included.
func (c *Cache) Len() int { return c.Stats().Entries }

// Bytes returns the memory that answers and failures take, as Limits counts it.
func (c *Cache) Bytes() int64 { return c.Stats().Bytes }
