//go:build linux

package prove

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"
)

// TestSoak: whatever happens, in any order and for as long as one likes, nobody is told a
// wrong address, our program does not end by itself, holds no more at the end than at the
// beginning, and answers again soon after the fault is gone. SOAK=10m is how long;
// SOAK_SEED=N repeats the faults of a run, which prints its seed.
func TestSoak(t *testing.T) {
	if inOwnNetwork(t) {
		return
	}
	length, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil && os.Getenv("SOAK") != "" {
		t.Fatalf("SOAK: found %q, expected a duration such as 10m", os.Getenv("SOAK"))
	}
	seed := rand.Uint64()
	if text := os.Getenv("SOAK_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SOAK_SEED: %v", err)
		}
	}
	t.Logf("SOAK_SEED=%d", seed)
	r := newRun(t, wallClockOverlay(t)...)
	r.full = length > 0
	p := r.newProof(t, "soak")
	newSoak(p, seed).run(length)
}

const (
	// soakCache is the configured size of the cache: far fewer answers than there are names.
	soakCache = 20000
	// soakKept is that and what is kept of failures: a quarter as many.
	soakKept = soakCache * 5 / 4
	// soakMemory is what our program may take with it: 60 MB with an empty cache, 10 MB for
	// these answers, and 10 KB for each of the 16,384 questions that may wait at once. The
	// rest is what the collector has not looked at yet.
	soakMemory = 350.0
	// soakFlood and soakForgeries are what comes in a soak of soakLength, or in a longer
	// one; in a shorter one as much less.
	soakFlood, soakForgeries = 1_000_000, 10_000_000
	soakLength               = 10 * time.Minute
	// floodRate is six times what the upstream's budget lets through.
	floodRate = 6000
)

// soak is our program between clients and a simulator that is reached over a bad road.
type soak struct {
	*reloaded
	network   *network
	clock     *wallClock
	road      *road
	cloud     *simulator
	databases endpoints
	moving    moving
	lasting   *persistent
	expected  map[string]netip.Addr
	random    *rand.Rand
	seed      uint64
	// before runs our program with a wall clock of its own and, where that is allowed,
	// ownDisk, with a disk of its own for its logs.
	before   []string
	ownDisk  bool
	logs     string
	replaced int
	rows     []soakRow
	peak     float64 // MB
	// forgotten counts what had to be asked again though its TTL was not over.
	forgotten int
}

// soakRow is a fault and what our program held some time after it.
type soakRow struct {
	name                  string
	begun, ended, settled time.Time
	held                  holdings
	// stream is how long after the end a new client over TCP had a reply.
	stream time.Duration
}

func newSoak(p *proof, seed uint64) *soak {
	p.t.Helper()
	s := &soak{databases: endpoints{2000, 2 * time.Second}, random: rand.New(rand.NewPCG(seed, 0)), seed: seed, logs: p.subdirectory("logs"), network: newNetwork(p.t), clock: p.newWallClock()}
	s.expected = s.databases.expected()
	for _, each := range lastingEndpoints() {
		s.expected[each.name()] = each.address
	}
	azure := p.azure(s.world())
	s.road = buildRoad(p, s.network.upstream, azure.address, seed)
	if s.ownDisk = os.Geteuid() == 0; s.ownDisk {
		s.before = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"`, s.logs}
	}
	s.before = append(s.before, s.clock.command()...)
	s.cloud = azure
	// The simulator as our program sees it: at the near end of the road.
	near := &simulator{process: azure.process, proof: p, address: s.road.address, world: azure.world}
	s.reloaded = &reloaded{server: &server{proof: p}, azure: near, metrics: freeAddress(p.t).String(), turns: []reloading{
		{"the same", true, ""}, {"the same again", true, ""}, {"a mistake", true, earlyMistake}, {"the same after a mistake", true, ""},
	}}
	s.reloaded.more = []string{
		fmt.Sprintf("cache %d", soakCache), "state " + p.subdirectory("state"), "clients resolver 127.0.0.0/8 10.1.0.0/24",
		"querylog " + filepath.Join(s.logs, "query.log") + " size=1MiB files=2",
	}
	s.write(0)
	s.process, _ = p.serveAnywhere(s.before, func(free netip.AddrPort) string {
		s.address = netip.AddrPortFrom(s.network.server, free.Port())
		s.configure(s.turns[0])
		return s.corefile
	})
	s.lasting = &persistent{server: s.address, expected: s.expected}
	p.t.Cleanup(s.lasting.hangUp)
	return s
}

// run lets mishaps happen for so long, or the short form's; then the flood comes.
func (s *soak) run(length time.Duration) {
	p := s.proof
	before := s.holds()
	names := s.databases.names(s.databases.number)
	for i := range 200 {
		names = append(names, fmt.Sprintf("absent%d.database.windows.net.", i))
	}
	asking := &load{server: s.address, names: names, rate: 400}
	asking.begin(p)
	moved := &load{server: s.address, names: movedNames(), rate: 40}
	moved.begin(p)
	over := &streamed{persistent: persistent{server: s.address, names: names, ended: make(chan struct{})}, soak: s}
	var streaming sync.WaitGroup
	streaming.Go(over.run)

	water := &flood{server: s.address, number: 15_000, sources: 10_000, rate: floodRate}
	forgeries, rate := 15_000, 5000
	if p.full {
		part := min(1, length.Seconds()/soakLength.Seconds())
		water.number, water.sources = int(part*soakFlood), 100_000
		forgeries = int(part * soakForgeries)
		length -= time.Duration(water.number/water.rate)*time.Second + 20*time.Second
		rate = int(1.1 * float64(forgeries) / length.Seconds())
	}
	spoofs := p.spoof(s.road, forgeries, rate, s.seed)
	s.happen(mishap{flooding, func(s *soak) func() { water.pour(p, s.seed); return func() {} }}, 0, pick(p.run, 8*time.Second, time.Second))
	p.require("kept after the flood", s.sum("coredns_privatelink_cache_entries"), "", atMost(soakKept))
	water.end()
	s.suffer(length)
	spoofs.finish()

	close(over.ended)
	streaming.Wait()
	questions := slices.Concat(asking.finish(), moved.finish(), over.questions)
	s.judge(questions, spoofs, water)
	s.judgeLog()
	s.judgeHeld(before)
}

// suffer lets mishaps happen one after the other: each of them once, then any.
func (s *soak) suffer(length time.Duration) {
	if !s.proof.full {
		for number, m := range mishaps[:shortMishaps] {
			calm := 200 * time.Millisecond
			if number == shortMishaps-1 {
				calm = soakRecovery(s.proof) + 500*time.Millisecond
			}
			s.happen(m, 500*time.Millisecond, calm)
		}
		return
	}
	order := s.random.Perm(len(mishaps))
	for number, begun := 0, time.Now(); time.Since(begun) < length; number++ {
		m := mishaps[order[number%len(order)]]
		if number >= len(order) {
			m = mishaps[s.random.IntN(len(mishaps))]
		}
		s.happen(m, 500*time.Millisecond+time.Duration(s.random.Int64N(int64(4500*time.Millisecond))), 4*time.Second)
	}
}

// soakRecovery is how soon all is well after a mishap. The short form runs beside other
// tests, on a machine that may be short of processors.
func soakRecovery(p *proof) time.Duration { return pick(p.run, 2*time.Second, 4*time.Second) }

// flooding is the mishap of which no quick recovery is asked: as long as a question may
// wait, those that came in it wait for the upstream's budget.
const flooding = "flood of names"

// happen lets a mishap last and then calm return.
func (s *soak) happen(m mishap, lasting, calm time.Duration) {
	row := soakRow{name: m.name, begun: time.Now()}
	end := m.begin(s)
	pass(lasting)
	end()
	row.ended = time.Now()
	if m.name != flooding {
		row.stream = s.firstReply(row.ended)
	}
	pass(calm - row.stream)
	row.settled = time.Now()
	select {
	case <-s.ended:
		s.proof.t.Fatalf("our program ended by itself after %q:\n%s", m.name, s.output.tail())
	default:
	}
	if s.said("panic") > 0 {
		s.proof.t.Errorf("our program panicked at %q:\n%s", m.name, s.output.tail())
	}
	row.held = s.holds()
	s.peak = max(s.peak, peakMemory(s.proof.t, s.command.Process.Pid))
	s.rows = append(s.rows, row)
	s.proof.t.Logf("%6.1f s  %-32s %5.0f MB %5d goroutines %5d files", time.Since(s.proof.started).Seconds(), m.name, row.held.resident, row.held.goroutines, row.held.files)
}

// wrongly says what is wrong with the answer to a question; empty where nothing is. To
// be told nothing, or that there is an error, is not.
func (s *soak) wrongly(q *question) string {
	want, exists := s.expected[q.name]
	switch {
	case q.latency == never, q.rcode == dns.RcodeServerFailure && len(q.addresses) == 0:
		return ""
	case s.moving.holds(q.name):
		return s.moving.wrongly(q)
	case exists && q.rcode == dns.RcodeSuccess && slices.Equal(q.addresses, []netip.Addr{want}):
		return ""
	case !exists && q.rcode == dns.RcodeNameError && len(q.addresses) == 0:
		return ""
	}
	return fmt.Sprintf("%s is %s with %v", q.name, dns.RcodeToString[q.rcode], q.addresses)
}

// judge looks at all questions.
func (s *soak) judge(questions []*question, spoofs *spoofer, water *flood) {
	p, wrong, failed := s.proof, 0, 0
	for _, q := range questions {
		if text := s.wrongly(q); text != "" {
			if wrong++; wrong <= 20 {
				p.t.Logf("%.1f s after the beginning: %s", q.asked.Sub(p.started).Seconds(), text)
			}
		}
		if unanswered(q) {
			failed++
		}
	}
	p.note("asked", float64(len(questions)), "questions")
	p.note("without an answer", float64(failed), "questions")
	p.require("wrong answers", float64(wrong), "", exactly(0))
	p.require("wrong answers in the flood", float64(water.wrong.Load()), "", exactly(0))
	p.note("flood: names", float64(water.sent.Load()), "")
	// Those that wait when the short form goes on are told nothing.
	p.require("flood: replies", float64(water.replies.Load()), "", atLeast(pick(p.run, 0.95, 0.3)*float64(water.sent.Load())))
	p.require("forged replies sent", float64(spoofs.sent.Load()), "", atLeast(0.9*float64(pick(p.run, spoofs.number, spoofs.number/5))))
	p.note("forged or late replies that the last process ignored", s.sum("coredns_privatelink_upstream_ignored_total"), "")
	p.require("highest resident memory", s.peak, "MB", atMost(soakMemory))
	p.require("answers that were asked for again before their TTL was over, when the wall clock was set", float64(s.forgotten), "", exactly(0))
	if moved := "answers about databases that had moved for longer than their TTL"; s.moving.settles(s.rows[len(s.rows)-1].settled) {
		p.require(moved, float64(s.moving.judged), "", atLeast(1))
	} else {
		p.note(moved, float64(s.moving.judged), "")
	}
	p.require("slowest recovery", s.recovery(questions), "s", atMost(soakRecovery(p).Seconds()))
	if p.full {
		s.judgeRows()
	}
}

const (
	// busyGoroutines and busyFiles are the most that our program may hold under the soak's
	// load when three mishaps in a row have passed: 128 sockets with a goroutine each, the
	// goroutines that rest, and as much again for all else. After a single one, questions
	// of it may still be asked, for nearly 4 s.
	busyGoroutines = 2 * (128 + restingGoroutines)
	busyFiles      = 2 * 128
)

// judgeRows looks at what was held after each mishap, by whichever process there was.
func (s *soak) judgeRows() {
	goroutines, files := 0, 0
	for number := 2; number < len(s.rows); number++ {
		a, b, c := s.rows[number-2].held, s.rows[number-1].held, s.rows[number].held
		goroutines = max(goroutines, min(a.goroutines, b.goroutines, c.goroutines))
		files = max(files, min(a.files, b.files, c.files))
	}
	s.proof.require("most goroutines that stayed over three mishaps", float64(goroutines), "", atMost(busyGoroutines))
	s.proof.require("most open files that stayed over three mishaps", float64(files), "", atMost(busyFiles))
}

func unanswered(q *question) bool {
	return q.latency > patience || q.rcode == dns.RcodeServerFailure
}

// recovery prints a table of all mishaps, and returns after how many seconds the last
// question failed that was asked after the end of one, or a new client over TCP had no
// reply. A question of the last moment before the next is not counted: its answer comes in
// that one.
func (s *soak) recovery(questions []*question) float64 {
	var lines strings.Builder
	out := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "at s\tlasting s\tmishap\tasked\tfailed\tlast after\tTCP after\tMB\tgoroutines\tfiles\t")
	slowest := 0.0
	slices.SortFunc(questions, func(a, b *question) int { return a.asked.Compare(b.asked) })
	for _, row := range s.rows {
		asked, failed, after := row.judge(questions)
		if row.name == flooding {
			s.proof.note("flood: the last question that failed, after its end", after, "s")
		} else {
			slowest = max(slowest, after, row.stream.Seconds())
		}
		fmt.Fprintf(out, "%.1f\t%.1f\t%s\t%d\t%d\t%.2f s\t%.2f s\t%.0f\t%d\t%d\t\n", row.begun.Sub(s.proof.started).Seconds(), row.ended.Sub(row.begun).Seconds(),
			row.name, asked, failed, after, row.stream.Seconds(), row.held.resident, row.held.goroutines, row.held.files)
	}
	_ = out.Flush() // strings.Builder takes everything
	s.proof.t.Logf("\n%s", &lines)
	return slowest
}

// judge counts the questions of a mishap and of the calm after it, in the order in which
// they were asked, those that failed, and when, in seconds after the end, the last failed.
func (row soakRow) judge(questions []*question) (asked, failed int, after float64) {
	first, _ := slices.BinarySearchFunc(questions, row.begun, func(q *question, at time.Time) int { return q.asked.Compare(at) })
	for _, q := range questions[first:] {
		if q.asked.After(row.settled) {
			break
		}
		asked++
		if !unanswered(q) {
			continue
		}
		failed++
		if q.asked.After(row.ended) && q.asked.Before(row.settled.Add(-500*time.Millisecond)) {
			after = q.asked.Sub(row.ended).Seconds()
		}
	}
	return asked, failed, after
}

// judgeLog compares the queries of the last process with their records: each was written,
// or counted as lost.
func (s *soak) judgeLog() {
	queries, records := s.sum("coredns_privatelink_queries_total"), s.sum("coredns_privatelink_querylog_records_total")
	s.proof.note("queries of the last process", queries, "")
	s.proof.require("queries without a record, written or counted", queries-records, "", exactly(0))
}

// restingFiles are the query log and the sockets of what our program asks by itself.
const restingFiles = 10

// restingGoroutines are kept for the next questions that have to wait, and so are there
// to stay.
const restingGoroutines = 256

// judgeHeld compares what our program holds, idle both times: the one of the beginning,
// and the last one. What it does by itself opens a socket now and then, so the least of
// some seconds counts.
func (s *soak) judgeHeld(before holdings) {
	p, after := s.proof, s.holds()
	for range 15 {
		if after.files <= before.files+restingFiles && after.goroutines <= before.goroutines+20+restingGoroutines {
			break
		}
		pass(time.Second)
		now := s.holds()
		after = holdings{min(after.files, now.files), min(after.goroutines, now.goroutines), now.resident}
	}
	p.note("open files before", float64(before.files), "")
	p.require("open files left behind", float64(after.files-before.files), "", atMost(restingFiles))
	p.note("goroutines before", float64(before.goroutines), "")
	if after.files > before.files+restingFiles {
		p.t.Logf("open files:\n%s", openFiles(s.command.Process.Pid))
	}
	p.require("goroutines left behind", float64(after.goroutines-before.goroutines), "", atMost(20+restingGoroutines))
	p.note("resident memory before", before.resident, "MB")
	p.note("resident memory at the end", after.resident, "MB")
}
