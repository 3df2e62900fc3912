//go:build linux

package lab

import (
	"sync"
	"testing"
	"time"
)

// TestStubAndResolverAskTheSameName: a declared stub and a declared resolver
// ask for the same privatelink names at the same time. The resolver is
// answered, although nothing was given to it; the stub is told which public
// name to use, although a chain through the name was given to it.
func TestStubAndResolverAskTheSameName(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startHub(l, "clients stub 10.2.0.0/16", "clients resolver 10.30.0.4")
	stub, resolver := l.Host("VM in spoke", "10.2.0.10"), l.Host("resolver", "10.30.0.4")
	digAddress(t, stub, hubDNS, sqlName, "10.0.2.4")

	for _, tc := range []struct{ alias, public, address string }{
		{sqlAlias, sqlName, "10.0.2.4"},
		{vaultAlias, vaultName, "10.0.2.5"},
	} {
		t.Run(tc.public, func(t *testing.T) {
			var both sync.WaitGroup
			both.Go(func() { digBlocked(t, stub, hubDNS, tc.alias, tc.public) })
			both.Go(func() { digAddress(t, resolver, hubDNS, tc.alias, tc.address) })
			both.Wait()
			first, second := logged(t, us, asked(stub, tc.alias, time.Time{})), logged(t, us, asked(resolver, tc.alias, time.Time{}))
			if apart := first.Time.Sub(second.Time).Abs(); apart > time.Second {
				t.Errorf("the two questions came %s apart, want a second at most", apart)
			}
			if first.PolicyRule != "direct-lookup" || first.PolicyAction != "refuse" || second.PolicyRule != "direct-declared-resolver" {
				t.Errorf("the query log has %+v and %+v", first, second)
			}
		})
	}
}
