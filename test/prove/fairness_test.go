//go:build linux

package prove

import (
	"net/netip"
	"slices"
	"syscall"
	"time"
)

const (
	// ordinaryClients ask for ordinaryRate names a second together, each in a network of
	// its own.
	ordinaryClients, ordinaryRate = 20, 50
	// floodFills is how long a flood of floodRate takes until as many of its questions
	// wait as may: those that Azure takes in 4 s.
	floodFills = 700 * time.Millisecond
)

// proveFairness: a flood of names that are all different, six times what Azure takes, does
// not keep others from the names that nobody has asked for lately. Where the flood comes
// from one network, all of them; how many where it pretends to come from everywhere, is
// told: nobody can tell who is real there.
func proveFairness(p *proof) {
	length := floodFills + pick(p.run, 20*time.Second, 800*time.Millisecond)
	each := int(length.Seconds() * ordinaryRate)
	databases := endpoints{2 * each, 10 * time.Second}
	azure := p.azure(databases.world(), "limit azure", "latency 5ms")
	us := p.forwarder(azure.address)
	names := databases.names(2 * each)
	for i, v := range []struct {
		name     string
		sources  int
		required bound
	}{
		{"a flood from one address", 1, atLeast(99)},
		{"a flood from " + count(100_000) + " addresses", 100_000, bound{}},
	} {
		water := &flood{server: us.address, number: int(length.Seconds() * floodRate), sources: v.sources, rate: floodRate}
		asked := ordinaryDuring(p, water, names[i*each:(i+1)*each], uint64(i))
		late := slices.DeleteFunc(slices.Clone(asked), func(q *question) bool { return !q.failed(databases.expected()) })
		answered := share(len(asked)-len(late), len(asked))
		p.t.Logf("%s: %.1f %% of %d of the others' names answered, half within %.0f ms", v.name, answered, len(asked), percentile(asked, 50))
		p.require(v.name+": the others' names answered", answered, "%", v.required)
		p.note(v.name+": half answered within", percentile(asked, 50), "ms")
		p.note(v.name+": 99 of 100 answered within", percentile(asked, 99), "ms")
		p.note(v.name+": its questions", float64(water.sent.Load()), "")
	}
	p.require("dropped by the upstream", float64(azure.stats().dropped()), "questions", exactly(0))
	us.signal(syscall.SIGKILL) // it would answer for seconds who still waits
}

// ordinaryDuring asks for every name once while a flood comes, as stub resolvers do: again
// where no reply comes, for the flood may fill our sockets, too. It returns the questions
// that were asked when as many of the flood's waited as may.
func ordinaryDuring(p *proof, water *flood, names []string, seed uint64) []*question {
	ordinary := &load{server: water.server, names: names, rate: ordinaryRate, retry: time.Second}
	for i := range ordinaryClients {
		ordinary.own = append(ordinary.own, netip.AddrFrom4([4]byte{127, 200, byte(i), 1}))
	}
	ordinary.begin(p)
	begun := time.Now()
	water.pour(p, seed)
	asked := ordinary.finish()
	water.end()
	return slices.DeleteFunc(asked[:min(len(asked), len(names))], func(q *question) bool { return q.asked.Sub(begun) < floodFills })
}
