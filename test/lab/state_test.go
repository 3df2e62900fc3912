//go:build linux

package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// startOldHub is startHub with a server that takes over from a process that
// had run for an hour and was stopped just now: it knows what that gave out,
// nothing, and has no doubt of its first minute.
func startOldHub(l *Lab, stanza ...string) *Server {
	l.t.Helper()
	startAzure(l)
	us, now := l.Host("us", hubDNS), time.Now()
	memory := policy.NewChaseMemory(1, now.Add(-time.Hour))
	if err := os.MkdirAll(us.stateDirectory(), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(us.stateDirectory(), "chases"), memory.Snapshot(now), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return us.Serve(slices.Concat(toAzure, stanza)...)
}

// TestGrantsSurviveARestart: what a client was given before the restart it may
// follow after it; what it was not given is refused from the first moment.
func TestGrantsSurviveARestart(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startOldHub(l)
	vm, other := l.Host("VM in spoke", "10.2.0.10"), l.Host("VM in spoke", "10.2.0.11")
	digAddress(t, vm, hubDNS, sqlName, "10.0.2.4")
	us.Restart()
	restarted := time.Now()

	digAddress(t, vm, hubDNS, sqlAlias, "10.0.2.4")
	digBlocked(t, vm, hubDNS, vaultAlias, vaultName)
	digBlocked(t, other, hubDNS, sqlAlias, sqlName)
	if record := logged(t, us, asked(vm, sqlAlias, restarted)); record.PolicyRule != "chase" {
		t.Errorf("the query log has %+v, want a chase", record)
	}
}

// TestDoubtSurvivesARestart: a process that has run for less than a minute and
// had no state to begin with does not know what was given out before it, and
// neither does the one after it. Both answer what may be a chase, and say so.
func TestDoubtSurvivesARestart(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startHub(l)
	vm := l.Host("VM in spoke", "10.2.0.10")
	for _, alias := range []string{sqlAlias, vaultAlias} {
		began := time.Now()
		if answer := dig(t, vm, hubDNS, alias, "A"); answer.Status != "NOERROR" {
			t.Errorf("%s: got %s, want an answer", alias, answer)
		}
		if record := logged(t, us, asked(vm, alias, began)); record.PolicyRule != "direct-while-starting" || record.PolicyAction != "audit" {
			t.Errorf("the query log has %+v, want an audit of the time of starting", record)
		}
		us.Restart()
	}
}
