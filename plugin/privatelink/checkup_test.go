package privatelink

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

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

// Whoever asks for the links of everything waits no longer than they said.
func TestTestLinksEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := &Opened{service: buildText(t, "upstream own 192.0.2.1\nroute catalog own")}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		started, asked := time.Now(), 0
		links := opened.TestLinks(ctx, nil, func(done, _ int) { asked = done })
		if took := time.Since(started); took > linkPace || asked != len(links) || len(links) < 50 {
			t.Errorf("TestLinks took %v for %d of %d zones after its context had ended, want no time and all of them", took, asked, len(links))
		}
		for _, link := range links {
			if link.Link != LinkUnknown || link.Error == "" {
				t.Fatalf("%+v, want the link unknown, and why", link)
			}
		}
	})
}
