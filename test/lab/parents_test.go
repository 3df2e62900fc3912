//go:build linux

package lab

import "testing"

// TestWithoutTheParentOfThePrivatelinkZone shows why the parent of Key Vault's
// privatelink zone must be forwarded too: without it the company's DNS server
// follows the alias by its default path, into the internet, and its clients
// get the public address. SQL's zone lies inside the forwarded suffix.
func TestWithoutTheParentOfThePrivatelinkZone(t *testing.T) {
	t.Parallel()
	l := New(t)
	startHub(l, "clients resolver 10.30.0.0/24")
	client := l.Host("on premises", "10.30.0.50")
	rules := Forwarding{Conditional: Forward(hubDNS, "database.windows.net", "vault.azure.net"), Default: internetDNS}
	l.Host("BIND", "10.30.0.4").BIND(rules)
	l.Host("Unbound", "10.30.0.5").Unbound(rules)
	for _, server := range []string{"10.30.0.4", "10.30.0.5"} {
		digAddress(t, client, server, vaultName, vaultPublic)
		digAddress(t, client, server, sqlName, "10.0.2.4")
	}
}
