package privatelink

import (
	"net/netip"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

func opened(t *testing.T, body string) *Opened {
	t.Helper()
	built := buildText(t, body)
	built.policy.Chains = policy.NewChaseMemory(1, longAgo)
	return &Opened{service: built}
}

// What is asked again comes out as the server's own log would have it.
func TestResolveIsTheLogsRecord(t *testing.T) {
	o := opened(t, "upstream azure "+answers(t, sql)+"\nroute . azure\nclients stub 10.20.0.0/16\nclients resolver 10.30.0.0/16\nclients deny 10.40.0.0/16")
	const public, direct = "db1.database.windows.net", "db1.privatelink.database.windows.net."
	tests := []struct {
		name, asked, qtype, client string
		chases                     bool
		wantRcode                  uint16
		wantRule, wantVerdict      string
	}{
		{"a private endpoint", public, "A", "10.20.0.9", false, 0, "none", "private"},
		{"a direct lookup", direct, "A", "10.20.0.9", false, 5, "direct-lookup", ""},
		{"a chase", direct, "A", "192.0.2.9", true, 0, "chase", "private"},
		{"a chase of a stub", direct, "A", "10.20.0.9", true, 5, "direct-lookup", ""},
		{"a declared resolver", direct, "A", "10.30.0.4", false, 0, "direct-declared-resolver", "private"},
		{"a denied client", public, "A", "10.40.0.4", false, 5, "client-not-served", ""},
		{"a failure", "other.example", "TYPE65280", "10.20.0.9", false, 2, "none", ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := o.Resolve(t.Context(), ExplainRequest{Name: tc.asked, Type: tc.qtype, Client: netip.MustParseAddr(tc.client)}, tc.chases)
			if err != nil {
				t.Fatal(err)
			}
			if got.Rcode != tc.wantRcode || got.PolicyRule != tc.wantRule || got.Verdict != tc.wantVerdict {
				t.Errorf("Resolve(%s of %s) = rcode %d, rule %s, verdict %q; want %d, %s, %q", tc.asked, tc.client, got.Rcode, got.PolicyRule, got.Verdict, tc.wantRcode, tc.wantRule, tc.wantVerdict)
			}
			if tc.wantVerdict == "private" && (len(got.Answers) != 1 || got.Answers[0] != netip.MustParseAddr("10.0.2.4")) {
				t.Errorf("Resolve(%s) = %v, want 10.0.2.4", tc.asked, got.Answers)
			}
		})
	}
	if _, err := o.Resolve(t.Context(), ExplainRequest{Name: "two words.example"}, false); err == nil {
		t.Error("Resolve takes what is no name")
	}
}

// Clients have a place in common where the configuration treats their questions alike.
func TestAppendPlace(t *testing.T) {
	o := opened(t, "upstream a 10.0.0.3 clients=10.1.0.0/16\nupstream b 10.0.0.4 clients=10.2.0.0/16\nroute . a b\nclients stub 10.2.3.0/24\nclients deny 10.2.4.0/24")
	place := func(client string, direct bool) string {
		return string(o.AppendPlace(nil, netip.MustParseAddr(client), direct))
	}
	tests := []struct {
		name, one, other string
		direct, want     bool
	}{
		{"no site", "192.0.2.1", "192.0.2.2", false, true},
		{"two sites", "10.1.0.1", "10.2.0.1", false, false},
		{"a class that does not matter", "10.2.0.1", "10.2.3.1", false, true},
		{"a class that matters", "10.2.0.1", "10.2.3.1", true, false},
		{"denied", "10.2.0.1", "10.2.4.1", false, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := place(tc.one, tc.direct) == place(tc.other, tc.direct); got != tc.want {
				t.Errorf("the places of %s and %s are the same: %v, want %v", tc.one, tc.other, got, tc.want)
			}
		})
	}
}
