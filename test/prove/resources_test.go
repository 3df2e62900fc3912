//go:build linux

package prove

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestPublicly(t *testing.T) {
	tests := []struct {
		name   string
		kind   uint16
		want   string
		exists bool
	}{
		{"web1.database.windows.net.", dns.TypeA, "203.0.113.11", true},
		{"web1.database.windows.net.", dns.TypeAAAA, "2001:db8::cb00:710b", true},
		{"web1.database.windows.net.", dns.TypeTXT, "", true},
		{"db1.database.windows.net.", dns.TypeA, "db1.privatelink.database.windows.net. 203.0.113.10", true},
		{"db1.privatelink.database.windows.net.", dns.TypeA, "203.0.113.10", true},
		{"vault1.example.org.", dns.TypeA, "v1.vault.azure.net. v1.privatelink.vaultcore.azure.net. 203.0.113.21", true},
		{"nobody.example.org.", dns.TypeA, "", false},
	}
	for _, tc := range tests {
		t.Run(tc.name+" "+dns.Type(tc.kind).String(), func(t *testing.T) {
			records, exists := leakResources.publicly(tc.name, tc.kind)
			var data []string
			for _, record := range records {
				data = append(data, strings.TrimPrefix(record.String(), record.Header().String()))
			}
			if got := strings.Join(data, " "); got != tc.want || exists != tc.exists {
				t.Errorf("publicly(%q) = %q, %v, want %q, %v", tc.name, got, exists, tc.want, tc.exists)
			}
		})
	}
}

func TestLeaksAreSeen(t *testing.T) {
	tests := []struct {
		name                     string
		fallbacks, unknown, want bool
	}{
		{"web1.database.windows.net.", false, false, true},
		{"v1.vault.azure.net.", false, true, true},
		{"v1.vault.azure.net.", true, true, true},
		{"v1.privatelink.vaultcore.azure.net.", true, false, true},
		{"db5.privatelink.database.windows.net.", true, false, true},
		{"db1.database.windows.net.", true, false, false},
		{"vault9.example.org.", true, false, true},
		{"vault9.example.org.", true, true, false},
		{"vault1.corp.example.", true, true, true},
		{ownPublicName, false, false, false},
		{".", false, false, false},
	}
	for _, tc := range tests {
		t.Run(fmt.Sprintf("%s fallbacks %v unknown %v", tc.name, tc.fallbacks, tc.unknown), func(t *testing.T) {
			l := &leakProof{fallbacks: tc.fallbacks}
			if got := l.isLeak(tc.name, tc.unknown); got != tc.want {
				t.Errorf("isLeak(%q, %v) = %v, want %v", tc.name, tc.unknown, got, tc.want)
			}
		})
	}
}

func TestNamesWithAPrivateEndpoint(t *testing.T) {
	for name, want := range map[string]bool{
		"db1.database.windows.net.": true, "db1.privatelink.database.windows.net.": true, "db.example.org.": true,
		"v9.vault.azure.net.": true, "vault1.corp.example.": true,
		"web1.database.windows.net.": false, partnerName: false, partnerAlias: false, "www.example.org.": false, ownPublicName: false,
	} {
		if got := isPrivate(name); got != want {
			t.Errorf("isPrivate(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	message := new(dns.Msg)
	for _, text := range []string{"a. A 10.0.2.4", "a. A 203.0.113.10", "a. AAAA fd00::1", "a. AAAA 2001:db8::1"} {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		message.Extra = append(message.Extra, record)
	}
	if got, want := fmt.Sprint(publicAddresses(message)), "[203.0.113.10 2001:db8::1]"; got != want {
		t.Errorf("publicAddresses = %s, want %s", got, want)
	}
}
