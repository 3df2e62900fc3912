//go:build linux

package lab

import (
	"slices"
	"testing"
)

const (
	internetRoot = "192.0.2.1"
	// vaultWithout has no private endpoint, so its public address is all there is.
	vaultWithout = "v2.vault.azure.net"
)

// bindFirst is a BIND that forwards first, with the domains of must-private
// names to one of our servers. It keeps nothing negative, so that every
// question of a client reaches us, and is patient: by default it waits for a
// forwarder for 1.2 s, which a busy machine may need by itself.
func bindFirst(l *Lab, address, server string) {
	l.t.Helper()
	l.Host("BIND", address).BIND(Forwarding{
		Conditional: Forward(server, "vault.azure.net", "vaultcore.azure.net"), Root: internetRoot, First: true,
		Options: "max-ncache-ttl 0; servfail-ttl 0; resolver-retry-interval 3000;",
	})
}

// TestMustPrivateBehindForwardFirst: whether the zone is not linked, or Azure
// silent or gone, a client of BIND never sees the public address of what must be
// private, as long as NODATA stands for it. SERVFAIL sends BIND to the internet,
// which is why NODATA is the default.
func TestMustPrivateBehindForwardFirst(t *testing.T) {
	t.Parallel()
	l := New(t)
	azure := l.Host("Azure", azureDNS)
	simulator := azure.Azure(world)
	l.Host("internet", internetRoot).Internet(
		vaultName+". CNAME "+vaultAlias+".", vaultAlias+". A "+vaultPublic,
		vaultWithout+". A "+vaultPublic)
	client := l.Host("on premises", "10.30.0.50")
	serve := func(address, withhold string) *Host {
		us := l.Host("us", address)
		us.Serve(append(slices.Clone(toAzure), "clients resolver 10.30.0.0/24", "must-private vault.azure.net"+withhold)...)
		return us
	}
	serve("10.3.0.4", "") // a VNet without links
	serve("10.3.0.5", " withhold=servfail")
	hub := serve(hubDNS, "")
	serve("10.1.0.5", " withhold=servfail")
	bindFirst(l, "10.30.0.4", "10.3.0.4")
	bindFirst(l, "10.30.0.5", "10.3.0.5")
	bindFirst(l, "10.30.0.6", hubDNS)
	bindFirst(l, "10.30.0.7", "10.1.0.5")

	never(t, client, "10.30.0.4", "the zone is not linked")
	digAddress(t, client, "10.30.0.5", vaultName, vaultPublic)
	l.Cut(hub, azure)
	never(t, client, "10.30.0.6", "Azure is silent")
	simulator.Stop()
	l.Mend(hub, azure)
	never(t, client, "10.30.0.6", "Azure is gone")
	digAddress(t, client, "10.30.0.7", vaultName, vaultPublic)
}

// never asks BIND again and again for what must be private, and fails the test
// where it has a public address.
func never(t *testing.T, client *Host, bind, when string) {
	t.Helper()
	for number := range 5 {
		for _, name := range []string{vaultName, vaultWithout} {
			answer := dig(t, client, bind, name, "A")
			if slices.Contains(answer.Data("A"), vaultPublic) {
				t.Errorf("%s, question %d for %s: got %s, want no public address", when, number+1, name, answer)
			}
		}
	}
}
