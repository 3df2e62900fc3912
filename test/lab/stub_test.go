//go:build linux

package lab

import (
	"slices"
	"testing"
	"time"
)

// TestStubThatFollowsAliases: systemd-resolved asks for the privatelink name
// whenever a chain ends without the type, as every chain to a private endpoint
// does for AAAA. The machine was declared as nothing. What it was given it may
// ask for; a privatelink name out of the blue is refused.
func TestStubThatFollowsAliases(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startOldHub(l)
	vm := l.Host("VM in spoke", "10.2.0.10")

	public := dig(t, vm, hubDNS, sqlName, "AAAA")
	if got := public.Data("CNAME"); public.Status != "NOERROR" || !slices.Equal(got, []string{sqlAlias + "."}) || len(public.Records) != 1 {
		t.Errorf("%s AAAA: got %s, want the alias and nothing else", sqlName, public)
	}
	if following := dig(t, vm, hubDNS, sqlAlias, "AAAA"); following.Status != "NOERROR" || len(following.Records) != 0 {
		t.Errorf("%s AAAA: got %s, want NOERROR without a record", sqlAlias, following)
	}
	digAddress(t, vm, hubDNS, sqlAlias, "10.0.2.4")
	if record := logged(t, us, asked(vm, sqlAlias, time.Time{})); record.PolicyRule != "chase" || !record.Chase || record.Class != "other" {
		t.Errorf("the query log has %+v, want a chase of a client of class other", record)
	}
	digBlocked(t, vm, hubDNS, "st1.privatelink.blob.core.windows.net", "st1.blob.core.windows.net")
}
