//go:build linux

package lab

import (
	"testing"
	"time"
)

// TestUndeclaredResolvers: BIND and Unbound were declared as nothing. They work
// by the memory of chases alone, without the help of a first minute's doubt.
func TestUndeclaredResolvers(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startOldHub(l)
	client, bind, unbound := l.Host("on premises", "10.30.0.50"), l.Host("BIND", "10.30.0.4"), l.Host("Unbound", "10.30.0.5")
	rules := Forwarding{Conditional: Forward(hubDNS, forwarded...), Default: internetDNS}
	bind.BIND(rules)
	unbound.Unbound(rules)

	for _, resolver := range []*Host{bind, unbound} {
		digAddress(t, client, resolver.Address(), sqlName, "10.0.2.4")
		digAddress(t, client, resolver.Address(), vaultName, "10.0.2.5")
		for _, alias := range []string{sqlAlias, vaultAlias} {
			if record := logged(t, us, asked(resolver, alias, time.Time{})); record.PolicyRule != "chase" || record.PolicyAction != "allow" {
				t.Errorf("the query log has %+v, want a chase that is allowed", record)
			}
		}
	}
	digBlocked(t, bind, hubDNS, "st1.privatelink.blob.core.windows.net", "st1.blob.core.windows.net")
}
