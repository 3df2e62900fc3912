//go:build linux

package lab

import (
	"testing"
	"time"
)

// TestTailOfTheChain: the private address lives shorter than the CNAME that
// leads to it. When it has gone from a resolver's cache and the CNAME has not,
// the resolver asks for the privatelink name alone. It was declared as nothing
// and must still be known to follow what it was given.
func TestTailOfTheChain(t *testing.T) {
	t.Parallel()
	const (
		name  = "brief.database.windows.net"
		alias = "brief.privatelink.database.windows.net"
		lives = 2 * time.Second // the address, in testdata/world.yaml
	)
	l := New(t)
	us := startOldHub(l)
	client, bind := l.Host("on premises", "10.30.0.50"), l.Host("BIND", "10.30.0.4")
	bind.BIND(Forwarding{Conditional: Forward(hubDNS, forwarded...), Default: internetDNS})
	digAddress(t, client, "10.30.0.4", name, "10.0.2.9")

	gone := Eventually(10*lives, func() bool {
		return len(dig(t, client, "10.30.0.4", alias, "A", "+norecurse").Data("A")) == 0
	})
	if !gone {
		t.Fatalf("BIND keeps the address longer than %s, want %s", 10*lives, lives)
	}
	tail := time.Now()
	digAddress(t, client, "10.30.0.4", name, "10.0.2.9")
	if record := logged(t, us, asked(bind, alias, tail)); record.PolicyRule != "chase" {
		t.Errorf("the query log has %+v, want a chase", record)
	}
	records, err := us.Logged()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		if asked(bind, name, tail)(record) {
			t.Errorf("BIND asked for the public name again, so the test shows nothing: %+v", record)
		}
	}
}
