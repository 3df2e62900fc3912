//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// reloadedLine is what our program writes when a reload has succeeded, and
	// reloadFailedLine when the configuration before stays in force.
	reloadedLine     = "[INFO] Reloading complete"
	reloadFailedLine = "[ERROR] the running configuration stays in force"
	// reloadInterval is between the beginnings of two reloads.
	reloadInterval = time.Second
	// leaving is how long what belongs to a configuration that is gone may still be
	// there: its last questions wait for 4 s.
	leaving = 6 * time.Second
)

// reloading is what a reload finds: a configuration, with the fast path or without, or
// a mistake.
type reloading struct {
	name     string
	fastPath bool
	// mistake is a line of the stanza; "" for none. One is seen when the Corefile is
	// read, another when the configuration starts to work.
	mistake string
}

const earlyMistake, lateMistake = "upstreem azure 127.0.0.1", "querylog /nowhere/at/all/query.log"

// In reloads every third has a mistake; in switches the fast path goes and comes, too.
var (
	reloads = []reloading{
		{"the same", true, ""}, {"the same again", true, ""}, {"a mistake", true, earlyMistake},
		{"the same after a mistake", true, ""}, {"the same again", true, ""}, {"a late mistake", true, lateMistake},
	}
	switches = []reloading{
		{"fastpath on", true, ""}, {"fastpath off", false, ""}, {"a mistake without fastpath", true, earlyMistake},
		{"the same, fastpath off", false, ""}, {"fastpath on", true, ""}, {"a late mistake with fastpath", false, lateMistake},
	}
)

// proveReload: the configuration is loaded anew every second, under load, in turn from
// what is given. No question is lost, nobody sees a failure, a client over TCP connects
// anew so often for each reload at most, Azure's limits hold, and nothing is left behind.
func proveReload(p *proof, turns []reloading, rate int, connections float64) {
	databases := endpoints{pick(p.run, 4000, 1000), 10 * time.Second}
	seconds := pick(p.run, 60, 5)
	azure := p.azure(databases.world(), "limit azure", "latency 5ms")
	us := newReloaded(p, azure, turns)
	names := databases.names(databases.number)
	questions := p.file("questions", strings.Join(names, " A\n")+" A")
	everyName := dnsperfRun{questions: questions, rate: 900}
	p.dnsperf(us.server, everyName)
	pass(leaving)
	before, dropped := us.holds(), azure.stats().dropped()
	p.dnsperf(us.server, everyName)

	busy := newBusiness(p, us.process, azure.process)
	var playing sync.WaitGroup
	var result dnsperfResult
	playing.Go(func() {
		result = p.dnsperf(us.server, dnsperfRun{questions: questions, rate: rate, length: time.Duration(seconds) * time.Second})
	})
	over := &persistent{server: us.address, names: names, expected: databases.expected(), ended: make(chan struct{})}
	playing.Go(over.run)
	tick := time.NewTicker(reloadInterval)
	for number := range seconds {
		us.reload(number)
		<-tick.C
	}
	tick.Stop()
	close(over.ended)
	playing.Wait()
	forgiven := 0
	us.countDrops()
	if busy.others(result.processor) > 0.25 {
		// Too late for a socket without room: it may be the machine's fault.
		forgiven = us.drops
	}
	us.reload(0) // as it was
	pass(leaving)

	p.note("UDP: asked", float64(result.asked()), "questions")
	p.note("UDP: without a reply", float64(result.lost), "questions")
	p.note("UDP: never received, socket full", float64(us.drops), "questions")
	p.require("UDP: without a reply, and nobody else to blame", float64(result.lost-min(result.lost, forgiven)), "questions", exactly(0))
	p.require("UDP: answered, but not with NOERROR", float64(result.completed-result.noError), "questions", exactly(0))
	p.note("TCP: asked", float64(over.asked), "questions")
	p.require("TCP: without the right answer", float64(over.failed), "questions", exactly(0))
	p.require("TCP: connections anew, of one client, for each reload", float64(over.reconnected)/float64(us.reloads), "", atMost(connections))
	p.require("highest rate at the upstream", float64(azure.stats()["peak_per_second"]), "in 1 s", atMost(1000))
	p.require("dropped by the upstream", float64(azure.stats().dropped()-dropped), "questions", exactly(0))
	us.judge(before, us.holds())
}

// business is what kept the machine busy: on one that is short of processors a reply can
// come too late, whatever our program does.
type business struct {
	proof     *proof
	processes []int
	started   time.Time
	all, ours time.Duration
}

func newBusiness(p *proof, processes ...*process) *business {
	b := &business{proof: p, processes: []int{os.Getpid()}, started: time.Now(), all: busyTime(p.t)}
	for _, each := range processes {
		b.processes = append(b.processes, each.command.Process.Pid)
	}
	b.ours = b.used()
	return b
}

func (b *business) used() (sum time.Duration) {
	for _, each := range b.processes {
		sum += processorTime(b.proof.t, each)
	}
	return sum
}

// others returns how many processors others have kept busy since the beginning; further
// time is of a process of ours that has ended.
func (b *business) others(further time.Duration) float64 {
	spent := busyTime(b.proof.t) - b.all - (b.used() - b.ours) - further
	processors := spent.Seconds() / time.Since(b.started).Seconds()
	b.proof.note("processors busy with other programs", processors, "")
	if processors > 0.25 {
		b.proof.t.Logf("other programs kept %.1f processors busy; these figures are not our program's alone", processors)
	}
	return processors
}

// reloaded is our program with a Corefile that changes.
type reloaded struct {
	*server
	azure          *simulator
	turns          []reloading
	rules, metrics string
	// more are further lines of the stanza.
	more           []string
	reloads, wrong int
	slowest        time.Duration
	// drops are what the kernel dropped, by sockets that may be closed by now.
	drops, standing int
}

func newReloaded(p *proof, azure *simulator, turns []reloading) *reloaded {
	p.t.Helper()
	r := &reloaded{server: &server{proof: p}, azure: azure, turns: turns, metrics: freeAddress(p.t).String()}
	r.write(0)
	r.process, r.address = p.serveAnywhere(nil, func(address netip.AddrPort) string {
		r.address = address
		r.configure(turns[0])
		return r.corefile
	})
	return r
}

// configure writes the Corefile.
func (r *reloaded) configure(with reloading) {
	r.proof.t.Helper()
	lines := []string{"upstream azure " + r.azure.address.String() + " budget=azure", "route . azure", "rules " + r.rules, with.mistake}
	if !with.fastPath {
		lines = append(lines, "fastpath off")
	}
	lines = append(lines, r.more...)
	r.corefile = r.proof.file("Corefile.reloaded", fmt.Sprintf(`.:%d {
    bind %s
    prometheus %s
    privatelink {
        %s
    }
}`, r.address.Port(), r.address.Addr(), r.metrics, strings.Join(lines, "\n        ")))
}

// write writes the rules file: another one for every number.
func (r *reloaded) write(number int) {
	r.proof.t.Helper()
	r.rules = r.proof.file("rules.yaml", fmt.Sprintf("routes:\n  - {suffix: corp%d.example, group: azure}", number))
}

// reload changes the rules file and the Corefile, sends the signal and waits for what
// our program says of it.
func (r *reloaded) reload(number int) {
	r.proof.t.Helper()
	with := r.turns[number%len(r.turns)]
	r.write(number)
	r.configure(with)
	done, failed := r.said(reloadedLine), r.said(reloadFailedLine)
	r.countDrops()
	begun := time.Now()
	r.signal(syscall.SIGHUP)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.said(reloadedLine) == done && r.said(reloadFailedLine) == failed {
		if <-tick.C; time.Since(begun) > stoppingTime {
			r.proof.t.Errorf("reload %d, %s: our program said nothing for %s", number, with.name, stoppingTime)
			return
		}
	}
	r.reloads++
	r.countDrops()
	r.slowest = max(r.slowest, time.Since(begun))
	if (r.said(reloadFailedLine) > failed) != (with.mistake != "") {
		r.wrong++
		r.proof.t.Errorf("reload %d, %s: failed %v", number, with.name, r.said(reloadFailedLine) > failed)
	}
}

// countDrops adds what the sockets have dropped since the last time. Those that were
// closed meanwhile take their count with them.
func (r *reloaded) countDrops() {
	r.proof.t.Helper()
	standing := socketDrops(r.proof.t, r.address)
	r.drops += max(0, standing-r.standing)
	r.standing = standing
}

// said counts a line of our program's output.
func (r *reloaded) said(line string) int {
	r.output.mutex.Lock()
	defer r.output.mutex.Unlock()
	return strings.Count(string(r.output.text), line)
}

// holdings are what a process holds.
type holdings struct {
	files, goroutines int
	resident          float64 // MB
}

func (r *reloaded) holds() holdings {
	t := r.proof.t
	t.Helper()
	process := r.command.Process.Pid
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", process))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", process))
	if err != nil {
		t.Fatal(err)
	}
	resident, err := strconv.Atoi(strings.Fields(string(pages))[1])
	if err != nil {
		t.Fatal(err)
	}
	return holdings{len(files), int(r.series("go_goroutines")), float64(resident*os.Getpagesize()) / 1e6}
}

// series returns what a series without labels tells.
func (r *reloaded) series(name string) float64 {
	r.proof.t.Helper()
	return r.proof.series(r.metrics, name)
}

// judge compares what our program holds, idle both times.
func (r *reloaded) judge(before, after holdings) {
	p := r.proof
	p.note("reloads", float64(r.reloads), "")
	p.note("slowest reload", milliseconds(r.slowest), "ms")
	p.require("reloads that succeeded with a mistake, or failed without", float64(r.wrong), "", exactly(0))
	p.note("open files before", float64(before.files), "")
	p.require("open files left behind", float64(after.files-before.files), "", atMost(3))
	p.note("goroutines before", float64(before.goroutines), "")
	p.require("goroutines left behind", float64(after.goroutines-before.goroutines), "", atMost(3))
	p.note("resident memory before", before.resident, "MB")
	p.require("resident memory more than before", after.resident-before.resident, "MB", atMost(40))
}
