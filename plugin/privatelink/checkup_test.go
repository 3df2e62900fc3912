package privatelink

import "testing"

// Vault's two suffixes lead into one zone: each group is asked for it once, and what must
// be private is told whichever suffix says so.
func TestEachZoneIsTestedOnceAGroup(t *testing.T) {
	service := opened(t, "upstream azure 10.1.0.4\nroute catalog azure\nroute . azure\nmust-private vaultcore.azure.net\n").service
	tests := service.linkTests(nil)
	seen := map[string]bool{}
	for _, test := range tests {
		key := test.Zone + " of " + test.Group
		if seen[key] {
			t.Errorf("%s is tested more than once", key)
		}
		seen[key] = true
	}
	if !seen["privatelink.blob.core.windows.net of azure"] {
		t.Errorf("among %d tests is none for the zone of blobs", len(tests))
	}
	vault := service.linkTests([]string{"vault.azure.net", "vaultcore.azure.net"})
	if len(vault) != 1 || !vault[0].Protected || vault[0].Namespace != "vaultcore.azure.net" {
		t.Errorf("the tests for vaults are %+v, want one of the protected vaultcore.azure.net", vault)
	}
}
