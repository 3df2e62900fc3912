package privatelink

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/miekg/dns"
)

// owners remember which site knows a name, so that usually one site is asked. They
// are safe for concurrent use; the zero value is ready. The memory is the process's:
// it names groups, which a reload may have done away with.
type owners struct {
	mutex sync.Mutex
	names *simplelru.LRU[ownedName, owner]
}

// ownedName is a name as the clients of a view see it.
type ownedName struct{ name, view string }

type owner struct {
	group string
	until time.Time
}

const (
	// maxOwners takes about 20 MB when full.
	maxOwners = 100_000
	// ownedFor is how long a site is asked alone before all are asked again: a
	// private endpoint in a site that is preferred is found by then. It is short
	// where such a site was silent when the owner was found.
	ownedFor          = 10 * time.Minute
	ownedForUncertain = time.Minute
)

// find returns the group that owns a name, empty where none is remembered.
func (m *owners) find(name ownedName, now time.Time) string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names == nil {
		return ""
	}
	found, known := m.names.Get(name)
	if !known || !now.Before(found.until) {
		return ""
	}
	return found.group
}

func (m *owners) remember(name ownedName, found owner) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names == nil {
		// It fails for sizes below one only.
		m.names, _ = simplelru.NewLRU[ownedName, owner](maxOwners, nil)
	}
	m.names.Add(name, found)
}

// flush forgets a name in every view or, with suffix, all names at and below it.
func (m *owners) flush(name string, suffix bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names == nil {
		return
	}
	for _, known := range m.names.Keys() {
		if known.name == name || suffix && dns.IsSubDomain(name, known.name) {
			m.names.Remove(known)
		}
	}
}

// flushAll forgets several names in every view.
func (m *owners) flushAll(names []string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names == nil || len(names) == 0 {
		return
	}
	gone := map[string]bool{}
	for _, name := range names {
		gone[name] = true
	}
	for _, known := range m.names.Keys() {
		if gone[known.name] {
			m.names.Remove(known)
		}
	}
}

func (m *owners) forget(name ownedName) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.names != nil {
		m.names.Remove(name)
	}
}
