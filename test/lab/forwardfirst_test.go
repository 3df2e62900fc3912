//go:build linux

package lab

import "testing"

// TestForwardFirst: BIND's default resolves by itself what a forwarder does
// not answer. As long as we answer it must give private addresses, also where
// it asks again for the privatelink name.
func TestForwardFirst(t *testing.T) {
	t.Parallel()
	l := New(t)
	startHub(l, "clients resolver 10.30.0.4")
	client := l.Host("on premises", "10.30.0.50")
	l.Host("BIND", "10.30.0.4").BIND(Forwarding{Conditional: Forward(hubDNS, forwarded...), Default: internetDNS, First: true})
	digAddress(t, client, "10.30.0.4", sqlName, "10.0.2.4")
	digAddress(t, client, "10.30.0.4", vaultName, "10.0.2.5")
}
