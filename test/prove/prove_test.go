//go:build linux

package prove

import (
	"os/exec"
	"sync"
	"testing"
)

// TestProve runs every proof, and prints one table of what was measured.
func TestProve(t *testing.T) {
	if _, err := exec.LookPath("dnsperf"); err != nil {
		t.Fatalf("no load without dnsperf, which make tools installs: %v", err)
	}
	r := newRun(t)
	var others sync.WaitGroup
	for _, each := range []struct {
		name  string
		prove func(*proof)
		// alone is for loads that need the machine for themselves. In the
		// short form all others run at once, however many processors there are:
		// they mostly wait.
		alone bool
		// routes is for what only a subject with routes can do.
		routes bool
	}{
		{"budget", proveBudget, true, false},
		{"retry storm", proveStorm, true, false},
		{"fairness", proveFairness, true, true},
		{"outage", func(p *proof) { proveOutage(p, false) }, false, false},
		{"outage with restart", func(p *proof) { proveOutage(p, true) }, false, false},
		{"leak without fallbacks", func(p *proof) { proveNoLeak(p, false) }, false, true},
		{"leak with fallbacks", func(p *proof) { proveNoLeak(p, true) }, false, true},
		{"partner", provePartner, false, true},
		{"sites", proveSites, false, true},
		{"loop", proveLoop, false, true},
		{"query log", proveQueryLog, true, true},
		{"query log on bad days", proveQueryLogOnBadDays, true, true},
		{"reload", func(p *proof) { proveReload(p, reloads, pick(p.run, 6000, 2000), 0) }, true, true},
		{"reload of the fast path", func(p *proof) { proveReload(p, switches, pick(p.run, 4000, 1000), 1) }, true, true},
	} {
		prove := func() {
			t.Run(each.name, func(t *testing.T) {
				if each.routes && !r.subject.routes {
					t.Skipf("%s has no routes", r.subject.title)
				}
				each.prove(r.newProof(t, each.name))
			})
		}
		if each.alone || r.full {
			prove()
		} else {
			others.Go(prove)
		}
	}
	others.Wait()
}
