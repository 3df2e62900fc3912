package policy

import (
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

func TestGuardProtects(t *testing.T) {
	var guard Guard
	for _, suffix := range []string{"vault.azure.net", "corp.example", "z20.blob.storage.azure.net"} {
		if err := guard.MustBePrivate.AddSuffix(suffix, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := guard.MustBePrivate.AddName("db1.database.windows.net", struct{}{}); err != nil {
		t.Fatal(err)
	}
	chainTo := func(targets ...string) (chain verdict.Chain) {
		for _, target := range targets {
			chain.Links = append(chain.Links, verdict.Link{Target: target})
		}
		return chain
	}
	tests := []struct {
		name, in string
		chain    verdict.Chain
		want     bool
	}{
		{"a name", "db1.database.windows.net.", verdict.Chain{}, true},
		{"below a name", "x.db1.database.windows.net.", verdict.Chain{}, false},
		{"another name", "db2.database.windows.net.", verdict.Chain{}, false},
		{"below a suffix", "v1.vault.azure.net.", verdict.Chain{}, true},
		{"a suffix", "corp.example.", verdict.Chain{}, true},
		{"the chase of a name", "db1.privatelink.database.windows.net.", verdict.Chain{}, true},
		{"the chase of another name", "db2.privatelink.database.windows.net.", verdict.Chain{}, false},
		{"the chase of a renamed name", "v1.privatelink.vaultcore.azure.net.", verdict.Chain{}, true},
		{"the chase of a name that cannot be derived, a suffix listed", "es-1.privatelink.blob.core.windows.net.", verdict.Chain{}, true},
		{"one of a zone without listed names", "mi1.privatelink.eastus.azmk8s.io.", verdict.Chain{}, false},
		{"a chain that leads to a name", "www.example.org.", chainTo("db1.database.windows.net.", "db1.privatelink.database.windows.net."), true},
		{"a chain that leads to the private side of a name", "www.example.org.", chainTo("db1.privatelink.database.windows.net."), true},
		{"a chain that leads elsewhere", "www.example.org.", chainTo("db2.database.windows.net."), false},
	}
	zones := azure(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := guard.Protects(tc.in, tc.chain, zones); got != tc.want {
				t.Errorf("Protects(%q, %v) = %v, want %v", tc.in, tc.chain.Links, got, tc.want)
			}
		})
	}
	if empty := (Guard{}); empty.Protects("db1.database.windows.net.", verdict.Chain{}, zones) {
		t.Error("a guard without names protects one")
	}
}

func TestGuardJudge(t *testing.T) {
	tests := []struct {
		name       string
		unlinked   Action
		meaning    verdict.Verdict
		protected  bool
		wantAction Action
		wantRule   Rule
	}{
		{"private and protected", Allow, verdict.Private, true, Allow, NoRule},
		{"public and protected", Allow, verdict.Public, true, Withhold, MustBePrivate},
		{"unlinked and protected", Allow, verdict.Unlinked, true, Withhold, MustBePrivate},
		{"no data is never withheld", Withhold, verdict.NoData, true, Allow, NoRule},
		{"missing has no address to withhold", Withhold, verdict.Missing, true, Allow, NoRule},
		{"other has none either", Withhold, verdict.Other, true, Allow, NoRule},
		{"public and not protected", Withhold, verdict.Public, false, Allow, NoRule},
		{"unlinked is served by default", Allow, verdict.Unlinked, false, Allow, NoRule},
		{"unlinked is recorded", Audit, verdict.Unlinked, false, Audit, UnlinkedAnswer},
		{"unlinked is withheld", Withhold, verdict.Unlinked, false, Withhold, UnlinkedAnswer},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			guard := Guard{Unlinked: tc.unlinked}
			if action, rule := guard.Judge(tc.meaning, tc.protected); action != tc.wantAction || rule != tc.wantRule {
				t.Errorf("Judge(%v, %v) = %v, %v; want %v, %v", tc.meaning, tc.protected, action, rule, tc.wantAction, tc.wantRule)
			}
		})
	}
}
