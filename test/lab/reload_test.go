//go:build linux

package lab

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReloadWhileAsking: clients ask without a pause while the configuration is
// reloaded again and again. No question is lost, and none is asked twice.
func TestReloadWhileAsking(t *testing.T) {
	t.Parallel()
	l := New(t)
	startAzure(l, "latency 20ms") // some questions are always in flight
	us := l.Host("us", hubDNS).Serve(toAzure...)
	vm := l.Host("VM in spoke", "10.2.0.10")
	var stop atomic.Bool
	var asked atomic.Int64
	var clients sync.WaitGroup
	for range 16 {
		a := newAsker(t, vm, "udp", hubDNS)
		clients.Go(func() {
			for !stop.Load() {
				asked.Add(1)
				if err := a.askAddress(sqlName, "10.0.2.4"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for number := range 5 {
		before := asked.Load()
		if _, err := us.Reload(reloadedLine); err != nil {
			t.Error(err)
		}
		if !Eventually(patience, func() bool { return asked.Load() > before+100 }) {
			t.Errorf("after reload %d clients got no more answers", number)
		}
	}
	stop.Store(true)
	clients.Wait()
	t.Logf("%d questions were answered during 5 reloads", asked.Load())
}

// TestReloadOfABrokenCorefile: a mistake leaves the running configuration in
// force, and stderr tells where it is. Mended, the new one comes into force.
func TestReloadOfABrokenCorefile(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startHub(l)
	vm := l.Host("VM in spoke", "10.2.0.10")
	broken := map[string][]string{
		"an unknown property":      append(slices.Clone(toAzure), "upstreem other 10.30.0.4"),
		"a route without a group":  append(slices.Clone(toAzure), "route corp.example nowhere"),
		"a network with host bits": append(slices.Clone(toAzure), "clients stub 10.2.0.10/16"),
	}
	for name, stanza := range broken {
		t.Run(name, func(t *testing.T) {
			us.Configure(stanza...)
			said, err := us.Reload(reloadFailedLine)
			if err != nil {
				t.Fatal(err)
			}
			// Four lines stand before the stanza's, and the mistake is its fifth.
			if place := us.Corefile + ":9"; !strings.Contains(said, place) {
				t.Errorf("stderr does not name the place %s: %s", place, said)
			}
			digAddress(t, vm, hubDNS, sqlName, "10.0.2.4")
		})
	}
	t.Run("a brace that is not closed", func(t *testing.T) {
		us.host.write("Corefile", ".:53 {\n    bind %s\n", hubDNS)
		said, err := us.Reload(reloadFailedLine)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said, us.Corefile+":") {
			t.Errorf("stderr does not name the place in %s: %s", us.Corefile, said)
		}
		digAddress(t, vm, hubDNS, sqlName, "10.0.2.4")
	})
	us.Configure(append(slices.Clone(toAzure), "clients deny 10.2.0.0/16")...)
	if _, err := us.Reload(reloadedLine); err != nil {
		t.Fatal(err)
	}
	if answer := dig(t, vm, hubDNS, sqlName, "A"); answer.Status != "REFUSED" {
		t.Errorf("after the reload got %s, want REFUSED for a denied client", answer)
	}
}
