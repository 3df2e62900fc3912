package azuresim

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func worldOf(t testing.TB, text string) *World {
	t.Helper()
	w, err := ParseWorld("w.yaml", []byte(text))
	if err != nil {
		t.Fatalf("ParseWorld() = %v", err)
	}
	return w
}

func TestAsker(t *testing.T) {
	w := worldOf(t, `
vnets:
  - name: hub
    networks: [10.1.0.0/16, "fd00:1::/64"]
    inbound_endpoints:
      - address: 10.1.0.68
      - {address: 10.1.0.69, rfc1918_only: true}
  - name: part
    networks: [10.1.9.0/24]
`)
	for _, tc := range []struct {
		name, local, client string
		vnet                string // "" for silence
		account             string
		endpoint            bool
	}{
		{name: "network", local: "168.63.129.16", client: "10.1.0.4", vnet: "hub", account: "10.1.0.4"},
		{name: "IPv6 network", local: "168.63.129.16", client: "fd00:1::4", vnet: "hub", account: "fd00:1::4"},
		{name: "longest network", local: "168.63.129.16", client: "10.1.9.4", vnet: "part", account: "10.1.9.4"},
		{name: "no VNet", local: "168.63.129.16", client: "10.9.0.4"},
		{name: "no VNet, IPv6", local: "168.63.129.16", client: "fd00:2::4"},
		{name: "endpoint first", local: "10.1.0.68", client: "10.1.9.4", vnet: "hub", account: "10.1.0.68", endpoint: true},
		{name: "endpoint, any client", local: "10.1.0.68", client: "203.0.113.9", vnet: "hub", account: "10.1.0.68", endpoint: true},
		{name: "endpoint, private client", local: "10.1.0.69", client: "192.168.3.3", vnet: "hub", account: "10.1.0.69", endpoint: true},
		{name: "endpoint, public client", local: "10.1.0.69", client: "203.0.113.9"},
		{name: "endpoint, shared address space", local: "10.1.0.69", client: "100.64.0.1"},
		{name: "endpoint, IPv6 client", local: "10.1.0.69", client: "fd00:1::4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from, heard := w.asker(netip.MustParseAddr(tc.local), netip.MustParseAddr(tc.client))
			if heard != (tc.vnet != "") {
				t.Fatalf("asker(%s, %s) heard = %v, want %v", tc.local, tc.client, heard, tc.vnet != "")
			}
			if !heard {
				return
			}
			want := account{netip.MustParseAddr(tc.account), tc.endpoint}
			if from.vnet.Name() != tc.vnet || from.account != want {
				t.Errorf("asker(%s, %s) = %s, %v, want %s, %v", tc.local, tc.client, from.vnet.Name(), from.account, tc.vnet, want)
			}
		})
	}
	if _, heard := w.asker(netip.Addr{}, netip.Addr{}); heard {
		t.Errorf("asker(no addresses) heard = true, want false")
	}
}

func TestLinks(t *testing.T) {
	const sql = "privatelink.database.windows.net."
	w := demoWorld(t)
	address := func() string {
		t.Helper()
		answer := lines(ask(t, w, "hub", "db1.database.windows.net A").Answer)
		fields := strings.Fields(answer[len(answer)-1])
		return fields[len(fields)-1]
	}
	if err := w.unlink("hub", sql); err != nil {
		t.Fatalf("unlink(hub) = %v, want nil", err)
	}
	if got := address(); got != "203.0.113.10" {
		t.Errorf("address without the link = %s, want 203.0.113.10", got)
	}
	if err := w.link("hub", "privatelink.azurewebsites.net.", true); err != nil {
		t.Errorf("link(hub) = %v, want nil", err)
	}
	answer := lines(ask(t, w, "hub", "app1.azurewebsites.net A").Answer)
	if last := answer[len(answer)-1]; last != "app1.privatelink.azurewebsites.net. 10 IN A 10.0.2.7" {
		t.Errorf("answer with the link ends in %q, want 10.0.2.7", last)
	}
	for name, err := range map[string]error{
		"found VNet 'nowhere', expected one of hub, isolated, spoke, test": w.unlink("nowhere", sql),
		"found zone '" + sql + "', expected a private zone linked":         w.unlink("hub", sql),
		"found zone 'hub2f6.bx.internal.cloudapp.net.'":                    w.unlink("hub", "hub2f6.bx.internal.cloudapp.net."),
		"found VNet 'nowhere'": w.link("nowhere", sql, false),
		"found 2 private zones called '" + sql + "', expected one": w.link("hub", sql, false),
		"found 0 private zones called 'x.example.'":                w.link("hub", "x.example.", false),
		"found a second zone privatelink.vaultcore.azure.net.":     w.link("hub", "privatelink.vaultcore.azure.net.", false),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error = %v, want %q", err, name)
		}
	}
}

func TestLoadWorld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.yaml")
	if _, err := LoadWorld(path); err == nil || !strings.HasPrefix(err.Error(), "loading a world: open ") {
		t.Errorf("LoadWorld(missing file) = %v, want an error that tells the file", err)
	}
	if err := os.WriteFile(path, []byte("vnets: [{name: a}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := LoadWorld(path)
	if err != nil {
		t.Fatalf("LoadWorld() = %v, want nil", err)
	}
	if _, ok := w.VNet("a"); !ok {
		t.Errorf("VNet(a) ok = false, want true")
	}
	if _, ok := w.VNet("b"); ok {
		t.Errorf("VNet(b) ok = true, want false")
	}
}

// Records and TTLs that a world states or leaves out.
func TestDefaults(t *testing.T) {
	w := worldOf(t, `
vnets: [{name: hub, internal_zone: x.internal.cloudapp.net, internal_records: "vm A 10.1.0.9"}]
private_zones:
  - name: p.example
    links: [{vnet: hub}]
    records: |
      a A 10.0.0.1
      a A 10.0.0.1
      b 77 A 10.0.0.2
public:
  zones: [{name: q.example, records: "a A 192.0.2.1"}]
  resources:
    - {name: r.q.example, addresses: [192.0.2.2, "2001:db8::2"]}
    - {name: s.q.example, addresses: [192.0.2.3], ttl: 5}
`)
	for question, want := range map[string]string{
		"vm.x.internal.cloudapp.net A": "vm.x.internal.cloudapp.net. 10 IN A 10.1.0.9",
		"a.p.example A":                "a.p.example. 10 IN A 10.0.0.1",
		"b.p.example A":                "b.p.example. 77 IN A 10.0.0.2",
		"a.q.example A":                "a.q.example. 300 IN A 192.0.2.1",
		"r.q.example A":                "r.q.example. 60 IN A 192.0.2.2",
		"r.q.example AAAA":             "r.q.example. 60 IN AAAA 2001:db8::2",
		"s.q.example A":                "s.q.example. 5 IN A 192.0.2.3",
	} {
		if got := lines(ask(t, w, "hub", question).Answer); !slices.Equal(got, []string{want}) {
			t.Errorf("Resolve(%q) = %q, want %q", question, got, want)
		}
	}
}
