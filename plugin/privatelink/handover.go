package privatelink

import (
	"context"
	"encoding/binary"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// handover is the slot that carries what must outlive a configuration: CoreDNS
// starts the new instance of a reload before it stops the old one, so whatever
// each kept for itself would exist twice meanwhile and be lost afterwards. It
// is one of the two globals of this program; the other is the registration.
var handover = newSlot()

// slot keeps the upstream servers by endpoint, counted by the configurations
// that use them, the memory of chases, the cache with the questions in flight,
// the sockets in front of CoreDNS's, and the admin socket. It is safe for concurrent use.
type slot struct {
	mutex    sync.Mutex
	servers  map[endpoint]*sharedServer
	starting map[*lease]func()
	chases   *policy.ChaseMemory
	// answers is the cache in force, made for a number of entries.
	answers *cache.Cache
	entries int
	// restored says that the file of the process before has been read: a later
	// reading would bring back what was flushed since.
	restored bool
	// saves is held while a file is written, so that an older one does not come last.
	saves   sync.Mutex
	flights flights[flightKey, *outcome]
	cookies wire.Cookies
	// limiting is nil as long as no configuration has limits.
	limiting *limiting
	owners   owners
	loops    loops
	troubles troubles
	signals
	admin *admin
	// directories are the state directories that other processes are kept out of.
	directories []*heldDirectory

	// fronts are by CoreDNS's name of the address. Their mutex is held while sockets are
	// opened and closed, so that a reload does neither beside the other.
	frontsMutex sync.Mutex
	fronts      map[string]*front
	successors  successors
	// handedOver counts the queries that fronts handed over.
	handedOver atomic.Uint64
	// overrides are kept in the first state directory; groups are the upstream
	// groups of each configuration that they can lead to, by name.
	overrides override.Store
	groups    map[*lease]map[string]*groupConfig
	// claims are the servers by the name of their group, of the first stanza that has
	// such a group since commit.
	claims map[string]string
	// handlers are what the admin socket can explain, with the places of their stanzas.
	handlers map[*Handler]string
	// dial opens sockets to upstream servers, and is nil but in tests without a network.
	dial dialer
}

// dialer opens a socket, as net.Dialer's DialContext does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

type sharedServer struct {
	server *upstream.Server
	leases int
	// budgets are what each lease says, budget is the strictest of them.
	budgets map[*lease]upstream.Budget
	budget  upstream.Budget
	// probes are the names of the leases that have one, the oldest first.
	probes []leasedProbe
}

// leasedProbe is the name that a lease wants a server to be probed with.
type leasedProbe struct {
	held *lease
	name string
}

// terms are what a configuration says of a server besides how it is asked. They make no
// other server of it.
type terms struct {
	// budget is zero for none.
	budget upstream.Budget
	// probe is the fully qualified name of probes, empty for none.
	probe string
}

// lease is one configuration's hold on the servers it names.
type lease struct {
	endpoints []endpoint
	// entries is how many answers the configuration wants to be kept.
	entries  int
	released bool
}

func newSlot() *slot {
	made := &slot{servers: map[endpoint]*sharedServer{}, starting: map[*lease]func(){}, fronts: map[string]*front{}, groups: map[*lease]map[string]*groupConfig{}, claims: map[string]string{}, handlers: map[*Handler]string{}}
	binary.NativeEndian.PutUint64(made.cookies.Secret[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(made.cookies.Secret[8:], rand.Uint64())
	return made
}

// acquire returns the server of each endpoint. A server's budget is the strictest that
// a lease on it names: a configuration that never comes in force cannot loosen it,
// and what it tightened ends with its lease. It is probed with the name that its oldest
// lease has, of those that have one, for the same reason.
func (s *slot) acquire(endpoints []endpoint, said map[endpoint]terms) (*lease, map[endpoint]*upstream.Server, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	held := &lease{}
	servers := make(map[endpoint]*upstream.Server, len(endpoints))
	for _, wanted := range endpoints {
		shared := s.servers[wanted]
		if shared == nil {
			server, err := wanted.open(s.dial)
			if err != nil {
				s.releaseLocked(held)
				return nil, nil, err
			}
			shared = &sharedServer{server: server, budgets: map[*lease]upstream.Budget{}}
			s.servers[wanted] = shared
		}
		shared.leases++
		held.endpoints = append(held.endpoints, wanted)
		shared.budgets[held] = said[wanted].budget
		shared.settleBudget()
		if err := shared.wantProbe(held, said[wanted].probe); err != nil {
			s.releaseLocked(held)
			return nil, nil, err
		}
		servers[wanted] = shared.server
	}
	return held, servers, nil
}

// settleBudget puts the strictest budget of all leases in force.
func (s *sharedServer) settleBudget() {
	var strictest upstream.Budget
	for _, budget := range s.budgets {
		strictest.PerSecond = stricter(strictest.PerSecond, budget.PerSecond)
		strictest.Outstanding = stricter(strictest.Outstanding, budget.Outstanding)
	}
	if strictest != s.budget {
		s.budget = strictest
		s.server.SetBudget(strictest)
	}
}

// wantProbe takes in what a lease wants the server to be probed with, empty for nothing.
func (s *sharedServer) wantProbe(held *lease, name string) error {
	known := slices.ContainsFunc(s.probes, func(p leasedProbe) bool { return p.held == held })
	if name == "" || known {
		return nil
	}
	s.probes = append(s.probes, leasedProbe{held, name})
	return s.settleProbe()
}

// settleProbe puts the probe name of the oldest lease in force.
func (s *sharedServer) settleProbe() error {
	if len(s.probes) == 0 {
		return s.server.SetProbeName("")
	}
	return s.server.SetProbeName(s.probes[0].name)
}

// forget ends what a lease says of the server.
func (s *sharedServer) forget(held *lease) {
	delete(s.budgets, held)
	s.settleBudget()
	s.probes = slices.DeleteFunc(s.probes, func(p leasedProbe) bool { return p.held == held })
	_ = s.settleProbe() // the name was accepted when its lease began
}

// stricter returns the smaller of two limits, of which 0 is none.
func stricter(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// commit ends the starting of all leases. The old instance calls it, when a
// reload begins: what started before is running by now.
func (s *slot) commit() {
	s.successors.expect()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	clear(s.starting)
	clear(s.claims)
}

func (e endpoint) open(dial dialer) (*upstream.Server, error) {
	return upstream.Open(e.address, upstream.Options{Transport: e.transport, ServerName: e.name, Path: e.path, Dial: dial})
}

// begin marks a lease as that of a configuration which is starting, until
// commit or abandon, and says what else is to be undone with it. A lease that a
// running stanza takes for its changed files is never marked: a reload that
// fails meanwhile must not close its servers.
func (s *slot) begin(held *lease, undo func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.starting[held] = undo
}

// abandon releases the marked leases of a configuration that failed to start, and
// undoes what it had started. The old instance calls it, because a failed
// reload calls nothing on the new one.
func (s *slot) abandon() {
	s.successors.stay()
	s.mutex.Lock()
	abandoned := maps.Clone(s.starting)
	s.mutex.Unlock()
	for held, undo := range abandoned {
		undo()
		s.release(held)
	}
}

// release gives up a lease. Servers that nobody holds any more are closed.
func (s *slot) release(held *lease) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.releaseLocked(held)
}

func (s *slot) releaseLocked(held *lease) {
	delete(s.starting, held)
	delete(s.groups, held)
	if held.released {
		return
	}
	held.released = true
	for _, endpoint := range held.endpoints {
		shared := s.servers[endpoint]
		if shared.leases--; shared.leases == 0 {
			shared.server.Close()
			delete(s.servers, endpoint)
			continue
		}
		shared.forget(held)
	}
}

// cacheOf returns the process's cache, of whatever size it is: only a configuration
// that comes in force changes that. The first one makes it.
func (s *slot) cacheOf(held *lease, entries int) *cache.Cache {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	held.entries = entries
	if s.answers == nil {
		s.answers, s.entries = newCache(entries), entries
	}
	return s.answers
}

// sizeCache gives the process's cache the size of the configuration that comes in
// force, of which the lease is a part: the largest that a stanza of it wants. Another
// size takes a new cache, with the answers of the one before. Undo puts that one back.
func (s *slot) sizeCache(held *lease, now time.Time) (answers *cache.Cache, undo func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	entries := held.entries
	for other := range s.starting {
		entries = max(entries, other.entries)
	}
	if entries == s.entries {
		return s.answers, func() {}
	}
	before, size := s.answers, s.entries
	s.answers, s.entries = newCache(entries), entries
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(before.WriteSnapshot(writer, now)) }()
	_, _ = s.answers.ReadSnapshot(reader, now) // it was written a moment ago; nothing can be wrong with it
	_ = reader.Close()
	return s.answers, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.answers, s.entries = before, size
	}
}

func newCache(entries int) *cache.Cache {
	return cache.New(cache.Limits{Entries: entries, Bytes: int64(entries) * bytesPerEntry}, rand.Uint64())
}

// bytesPerEntry bounds a cache of long answers: a chain with an address takes
// about 300 bytes.
const bytesPerEntry = 1024

// chaseMemory returns the process's memory of chases. The first caller's
// restore, nil for none, may bring it over from the process before.
func (s *slot) chaseMemory(restore func(now time.Time) *policy.ChaseMemory, seed uint64, now time.Time) *policy.ChaseMemory {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.chases == nil {
		s.chases = restore(now)
	}
	if s.chases == nil {
		s.chases = policy.NewChaseMemory(seed, now)
	}
	return s.chases
}
