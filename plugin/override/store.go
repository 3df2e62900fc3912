package override

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// MaxOverrides is how many names can be overridden at a time. Overrides are
// exceptions; who needs more needs a route or a zone.
const MaxOverrides = 10_000

// Errors of a Store.
var (
	// ErrFull: there are MaxOverrides already.
	ErrFull = errors.New("too many overrides")
	// ErrNotFound: the name has no override.
	ErrNotFound = errors.New("no override")
	// ErrNotWritten: the change is in force, but could not be written, and is lost
	// at a restart unless a later change is written.
	ErrNotWritten = errors.New("the change is in force, but will not survive a restart")
)

// Store holds overrides by name. The zero value is empty, and kept nowhere until
// Restore has said where. It is safe for concurrent use; a Store must not be copied.
type Store struct {
	// live is replaced as a whole and never changed; nil when there are none, so
	// that the usual case costs one load.
	live  atomic.Pointer[map[string]*Override]
	mutex sync.Mutex
	// path is the file, empty for none. Written is when it was last read or written.
	path    string
	written time.Time
}

// Find returns the override of a name, which is lower case and fully qualified,
// unless it has expired. It takes no lock and allocates nothing.
func (s *Store) Find(name string, now time.Time) (*Override, bool) {
	// Short enough to be inlined: there are none nearly always.
	if live := s.live.Load(); live != nil {
		return find(*live, name, now)
	}
	return nil, false
}

func find(live map[string]*Override, name string, now time.Time) (*Override, bool) {
	found := live[name]
	if found == nil || !found.live(now) {
		return nil, false
	}
	return found, true
}

// Add puts an override in force and writes it. What the name was answered with
// before is replaced and returned, nil for nothing - save that A and AAAA addresses
// stand beside each other: the newer change gives both its end, its reason and its
// author.
//
// Errors wrap ErrInvalid or ErrFull, and nothing has changed then, or
// ErrNotWritten.
func (s *Store) Add(c Change, now time.Time) (added, replaced *Override, err error) {
	added, err = c.override(now)
	if err != nil {
		return nil, nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	next := s.usable(now)
	replaced = next[added.Name]
	if replaced == nil && len(next) >= MaxOverrides {
		return nil, nil, fmt.Errorf("%w: found %d, expected fewer than %d; remove some", ErrFull, len(next), MaxOverrides)
	}
	if replaced != nil {
		added.withAddressesOf(replaced)
	}
	next[added.Name] = added
	return added, replaced, s.publish(next, now)
}

// Remove ends the override of a name, in any spelling, and returns what it was.
// Errors wrap ErrNotFound or ErrNotWritten.
func (s *Store) Remove(name string, now time.Time) (*Override, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	next := s.usable(now)
	removed := next[dns.CanonicalName(name)]
	if removed == nil {
		return nil, fmt.Errorf("%w of %s", ErrNotFound, name)
	}
	delete(next, removed.Name)
	return removed, s.publish(next, now)
}

// List returns the overrides that have not expired, by name; never nil. Their times are
// on the wall clock that shows now, whoever has set it since they were made.
func (s *Store) List(now time.Time) []*Override {
	return told(s.usable(now), now)
}

func told(overrides map[string]*Override, now time.Time) []*Override {
	list := sorted(overrides)
	for index, o := range list {
		list[index] = o.told(now)
	}
	return list
}

// Expire forgets the overrides that have expired and returns them by name: each is
// returned once. It costs next to nothing when there are none at all. Where the wall
// clock was set, it writes the others again: the next process has nothing but that
// clock to end them by. The error wraps ErrNotWritten.
func (s *Store) Expire(now time.Time) ([]*Override, error) {
	if s.live.Load() == nil {
		return nil, nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	next := s.usable(now)
	expired := map[string]*Override{}
	for name, o := range s.all() {
		if next[name] == nil {
			expired[name] = o
		}
	}
	if len(expired) == 0 && !s.misdated(now) {
		return nil, nil
	}
	return sorted(expired), s.publish(next, now)
}

// misdated reports whether the wall clock was set by a second or more since the file
// was written. The mutex is held.
func (s *Store) misdated(now time.Time) bool {
	set := now.Round(0).Sub(s.written.Round(0)) - now.Sub(s.written)
	return s.path != "" && set.Abs() >= time.Second
}

func (s *Store) all() map[string]*Override {
	if live := s.live.Load(); live != nil {
		return *live
	}
	return nil
}

// usable returns a map of its own with what has not expired.
func (s *Store) usable(now time.Time) map[string]*Override {
	usable := map[string]*Override{}
	for name, o := range s.all() {
		if o.live(now) {
			usable[name] = o
		}
	}
	return usable
}

// publish puts overrides in force, and then writes them: an operator in need must
// not be stopped by a full disk. The mutex is held.
func (s *Store) publish(next map[string]*Override, now time.Time) error {
	s.use(next)
	if s.path == "" {
		return nil
	}
	s.written = now // also in vain: Expire must not try, and complain, each time
	if err := write(s.path, told(next, now)); err != nil {
		return fmt.Errorf("%w: writing the overrides: %w", ErrNotWritten, err)
	}
	return nil
}

func (s *Store) use(next map[string]*Override) {
	if len(next) == 0 {
		s.live.Store(nil)
		return
	}
	s.live.Store(&next)
}

func sorted(overrides map[string]*Override) []*Override {
	list := slices.AppendSeq(make([]*Override, 0, len(overrides)), maps.Values(overrides))
	slices.SortFunc(list, func(a, b *Override) int { return strings.Compare(a.Name, b.Name) })
	return list
}
