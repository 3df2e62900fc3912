//go:build linux

package prove

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// budgetWorld is the load of one form. The short one is the full one's third
// in everything but the upstream's limits: as many answers expire a second,
// and as many questions meet each.
type budgetWorld struct {
	endpoints
	few          int // names that the budget can keep fresh; all are twice as many
	rate, higher int // questions a second
	cold, warm   time.Duration
	latency      float64 // 99 of 100 warm answers, in milliseconds
}

// The peers' figures were measured over 15 s of a cold cache. The short form
// shares the machine with other tests, which a bound on latency must allow for.
var (
	fullBudget  = budgetWorld{endpoints{10000, 10 * time.Second}, 5000, 8000, 20000, 15 * time.Second, 60 * time.Second, 10}
	shortBudget = budgetWorld{endpoints{3000, 3 * time.Second}, 1500, 2400, 6000, 4 * time.Second, 4 * time.Second, 1000}
)

// samples is how many questions a second tell the latency: enough for a
// percentile, too few to be a load.
const samples = 250

// phase is one load of the proof.
type phase struct {
	name     string
	names    int
	rate     int
	length   time.Duration
	share    float64 // the least percentage of questions answered with NOERROR
	latency  float64 // the most milliseconds for 99 of 100 answers; 0 is not judged
	upstream bool    // what the upstream saw is judged as well
}

// proveBudget: Azure drops what goes beyond 1,000 questions a second or 200
// outstanding, silently. A company's load is far beyond, and must neither
// cause one drop nor go without answers.
func proveBudget(p *proof) {
	w := pick(p.run, fullBudget, shortBudget)
	azure := p.azure(w.world(), "limit azure", "latency 5ms")
	us := p.forwarder(azure.address)
	b := &budgetProof{proof: p, world: w, azure: azure, us: us}
	few, all := count(w.few)+" names", count(w.number)+" names"
	low, high := count(w.rate)+"/s", count(w.higher)+"/s"
	b.measure(phase{few + " cold, " + low, w.few, w.rate, w.cold, 98, 0, true})
	b.measure(phase{few + " warm, " + low, w.few, w.rate, w.warm, 99.95, w.latency, true})
	b.measure(phase{few + " warm, " + high, w.few, w.higher, w.warm, 99.9, w.latency, true})
	b.warmUp(w.number)
	b.measure(phase{all + " warm, " + low, w.number, w.rate, w.warm, 99.9, w.latency, true})
	p.require("highest rate at the upstream", float64(azure.stats()["peak_per_second"]), "in 1 s", atMost(1000))
	p.require("most outstanding at the upstream", float64(azure.stats()["peak_outstanding"]), "", atMost(200))
}

type budgetProof struct {
	*proof
	world budgetWorld
	azure *simulator
	us    *server
}

// questions writes dnsperf's file for the first names.
func (b *budgetProof) questions(number int) string {
	names := b.world.names(number)
	return b.file(fmt.Sprintf("questions.%d", number), strings.Join(names, " A\n")+" A")
}

// warmUp asks every name once, at a rate that the upstream can bear.
func (b *budgetProof) warmUp(number int) {
	before := b.azure.stats()
	b.dnsperf(b.us, dnsperfRun{questions: b.questions(number), rate: 900})
	b.require("warm-up: dropped by the upstream", float64(b.azure.stats().dropped()-before.dropped()), "", exactly(0))
}

// measure runs one load and records what it showed.
func (b *budgetProof) measure(ph phase) {
	before := b.usage()
	sample := &load{server: b.us.address, names: b.world.names(ph.names), rate: samples}
	sample.begin(b.proof)
	result := b.dnsperf(b.us, dnsperfRun{questions: b.questions(ph.names), rate: ph.rate, length: ph.length})
	sampled := sample.finish()
	spent := b.usage().since(before)

	asked := result.asked()
	if !b.full {
		// Other tests share the machine: what they kept our program from
		// receiving is not its fault.
		asked -= min(spent.drops, result.lost)
		sampled = slices.DeleteFunc(sampled, func(q *question) bool { return q.latency > patience })
	}
	record := func(name string, measured float64, unit string, required bound) {
		b.require(ph.name+": "+name, measured, unit, required)
	}
	record("answered NOERROR", share(result.noError, asked), "%", atLeast(ph.share))
	if ph.latency > 0 {
		record("99 of 100 answered within", percentile(sampled, 99), "ms", atMost(ph.latency))
		record("wrong addresses", float64(b.wrong(sampled)), "", exactly(0))
	} else {
		b.note(ph.name+": 99 of 100 answered within", percentile(sampled, 99), "ms")
	}
	record("dropped by the upstream", float64(spent.stats.dropped()), "", exactly(0))
	b.note(ph.name+": half answered within", percentile(sampled, 50), "ms")
	b.note(ph.name+": average latency as dnsperf sees it", milliseconds(result.average), "ms")
	b.note(ph.name+": asked upstream", float64(spent.stats["received"]), "questions")
	b.note(ph.name+": asked", float64(result.asked()), "questions")
	b.note(ph.name+": without a reply", float64(result.lost), "questions")
	b.note(ph.name+": never received, socket full", float64(spent.drops), "questions")
	b.note(ph.name+": processor time a question", float64(spent.server.Microseconds())/float64(result.asked()), "µs")
	others := spent.busy - spent.mine - spent.server - spent.simulator - result.processor
	processors := others.Seconds() / spent.at.Sub(before.at).Seconds()
	b.note(ph.name+": processors busy with other programs", processors, "")
	if processors > 0.25 {
		b.t.Logf("%s: other programs kept %.1f processors busy; these figures are not our program's alone", ph.name, processors)
	}
}

// wrong counts answers with an address that is not the name's.
func (b *budgetProof) wrong(sampled []*question) int {
	expected, number := b.world.expected(), 0
	for _, q := range sampled {
		if len(q.addresses) > 0 && !q.right(expected) {
			number++
		}
	}
	return number
}

// usage is what the machine and the simulator have counted so far.
type usage struct {
	at                            time.Time
	stats                         stats
	drops                         int
	busy, mine, server, simulator time.Duration
}

func (b *budgetProof) usage() usage {
	return usage{
		at: time.Now(), stats: b.azure.stats(), drops: socketDrops(b.t, b.us.address), busy: busyTime(b.t), mine: processorTime(b.t, os.Getpid()),
		server: processorTime(b.t, b.us.command.Process.Pid), simulator: processorTime(b.t, b.azure.command.Process.Pid),
	}
}

func (u usage) since(before usage) usage {
	difference := stats{}
	for name, value := range u.stats {
		difference[name] = value - before.stats[name]
	}
	return usage{
		at: u.at, stats: difference, drops: u.drops - before.drops, busy: u.busy - before.busy, mine: u.mine - before.mine,
		server: u.server - before.server, simulator: u.simulator - before.simulator,
	}
}
