package privatelink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coredns/caddy/caddyfile"
)

// parseText parses a stanza whose first line is line 1 of a Corefile in the
// given directory.
func parseText(directory, text string) (*config, error) {
	dispenser := caddyfile.NewDispenser(filepath.Join(directory, "Corefile"), strings.NewReader(text))
	return parse(&dispenser)
}

func TestParseReportsMistakes(t *testing.T) {
	const valid = "upstream azure 168.63.129.16\nroute . azure\n"
	tests := []struct {
		name, body string
		want       []string
	}{
		{"unknown property", valid + "upstraem azure 10.0.0.4", []string{`Corefile:4: found property "upstraem", expected one of cache, catalog, clients`}},
		{"no argument", valid + "catalog", []string{"Corefile:4: found catalog without an argument"}},
		{"unknown group", "upstream azure 168.63.129.16\nroute corp.example corp", []string{`Corefile:3: found upstream group "corp", expected one of azure`}},
		{"two routes for one suffix", valid + "route . azure", []string{"Corefile:4: found a second route for ., expected one; the first is at", "Corefile:3"}},
		{"two routes for one name", valid + "route =a.example azure\nroute =A.example. azure", []string{"Corefile:5: found a second route for =a.example."}},
		{"two catalog routes", valid + "route catalog azure\nroute catalog azure", []string{"Corefile:5: found a second route for catalog"}},
		{"route without a name", valid + "route = azure", []string{"Corefile:4: found a route without a name"}},
		{"route with a wildcard", valid + "route *.example azure", []string{`Corefile:4: found "*.example", expected a domain name`}},
		{"route with too many arguments", valid + "route corp.example azure missing=public", []string{`Corefile:4: found upstream group "public"`}},
		{"group twice", valid + "upstream azure 10.0.0.4", []string{`Corefile:4: found upstream group "azure" a second time`}},
		{"server twice", "upstream azure 10.0.0.4 10.0.0.4:53\nroute . azure", []string{`Corefile:2: upstream group "azure": found 10.0.0.4:53 twice`}},
		{"group without servers", "upstream azure\nroute . azure", []string{`Corefile:2: upstream group "azure": found no server`}},
		{"port missing", "upstream azure 10.0.0.4:\nroute . azure", []string{`found "10.0.0.4:" without a port after the colon`}},
		{"port zero", "upstream azure 10.0.0.4:0\nroute . azure", []string{`found "10.0.0.4:0", expected a port between 1 and 65535`}},
		{"an address that is everywhere", "upstream azure 0.0.0.0\nroute . azure", []string{`found "0.0.0.0", which is no server's address`}},
		{"an address with half brackets", "upstream azure ]10.0.0.4[\nroute . azure", []string{`found "]10.0.0.4[", expected an IP address`}},
		{"TLS without a name", "upstream azure tls://9.9.9.9\nroute . azure", []string{`found "tls://9.9.9.9" without the name of its certificate`}},
		{"TLS with a path", "upstream azure tls://9.9.9.9%dns.quad9.net/x\nroute . azure", []string{"with a path, which only https:// has"}},
		{"another scheme", "upstream azure quic://9.9.9.9%dns.quad9.net\nroute . azure", []string{"expected an IP address, tls:// or https://"}},
		{"a budget that is none", "upstream azure 10.0.0.4 budget=much\nroute . azure", []string{"found budget=much, expected azure, resolver, or"}},
		{"two budgets for one server", "upstream azure 10.0.0.4 budget=azure\nupstream other 10.0.0.4 budget=500/100\nroute . azure", []string{"Corefile:3: upstream group \"other\": found another budget for 10.0.0.4:53 than group \"azure\" has at", "Corefile:2"}},
		{"a budget without a value", "upstream azure 10.0.0.4 budget\nroute . azure", []string{`found "budget", expected an IP address`}},
		{"a backup that is none", "upstream azure 10.0.0.4 backup=10.0.0.5,dns.example\nroute . azure", []string{`Corefile:2: upstream group "azure": backup=10.0.0.5,dns.example: found "dns.example", expected an IP address`}},
		{"no backup", "upstream azure 10.0.0.4 backup=\nroute . azure", []string{`Corefile:2: upstream group "azure": backup=: found "", expected an IP address`}},
		{"backups only", "upstream azure backup=10.0.0.4\nroute . azure", []string{`Corefile:2: upstream group "azure": found no server, expected at least one address that is no backup`}},
		{"a backup of itself", "upstream azure backup=10.0.0.4 10.0.0.4\nroute . azure", []string{`Corefile:2: upstream group "azure": found 10.0.0.4:53 twice`}},
		{"a backup in two tiers", "upstream azure 10.0.0.4 backup=10.0.0.5 backup=10.0.0.5\nroute . azure", []string{`Corefile:2: upstream group "azure": backup=10.0.0.5: found 10.0.0.5:53 twice`}},
		{"two budgets for one backup", "upstream azure 10.0.0.4 backup=10.0.0.5 budget=azure\nupstream other 10.0.0.5 budget=500/100\nroute . azure", []string{`Corefile:3: upstream group "other": found another budget for 10.0.0.5:53`}},
		{"a probe name that is none", "upstream azure 10.0.0.4 probe=two..dots\nroute . azure", []string{`Corefile:2: upstream group "azure": probe=two..dots: found "two..dots", expected a domain name`}},
		{"no probe name", "upstream azure 10.0.0.4 probe=\nroute . azure", []string{`Corefile:2: upstream group "azure": probe=: found ""`}},
		{"a probe name with a broken escape", "upstream azure 10.0.0.4 probe=hub.example\\\nroute . azure", []string{`Corefile:2: upstream group "azure": probe=hub.example`}},
		{"two probe names for one group", "upstream azure 10.0.0.4 probe=a.example probe=b.example\nroute . azure", []string{"found probe=b.example a second time"}},
		{"two probe names for one server", "upstream azure 10.0.0.4 probe=a.example\nupstream other 10.0.0.6 backup=10.0.0.4 probe=b.example\nroute . azure", []string{"Corefile:3: upstream group \"other\": found another probe name for 10.0.0.4:53 than group \"azure\" has at", "Corefile:2"}},
		{"a misspelt option", "upstream azure 10.0.0.4 withold-private budegt=azure\nroute . azure", []string{`found "withold-private", expected an IP address with an optional port, backup=, budget=, clients=, probe=, or withhold-private`, `found "budegt=azure", expected`}},
		{"said twice", valid + "cache 100\ncache 200\nratelimit 50\nratelimit 60\nunlinked serve\nunlinked audit", []string{"Corefile:5: found a second cache, expected one; the first is at", "Corefile:4", "Corefile:7: found a second ratelimit", "Corefile:9: found a second unlinked"}},
		{"a class said twice", valid + "direct other audit\ndirect stub audit\ndirect other allow", []string{"Corefile:6: found a second direct other, expected one; the first is at", "Corefile:4"}},
		{"a compression that there is not", valid + "querylog q.log compress=lz4", []string{`Corefile:4: querylog q.log: found compression "lz4"`, "expected gzip or zstd"}},
		{"a rotation that is too fast", valid + "querylog q.log every=5s", []string{"Corefile:4: querylog q.log: found a rotation every 5s", "expected a minute at least"}},
		{"dnstap to nowhere", valid + "querylog dnstap+udp://127.0.0.1:6000", []string{`found dnstap network "udp", expected unix, tcp or tls`}},
		{"Azure Monitor without an endpoint", valid + "querylog azure-monitor", []string{"Corefile:4: querylog azure-monitor: found endpoint"}},
		{"a cache that is none", valid + "cache big", []string{"Corefile:4: found cache big, expected the number of answers"}},
		{"stale for ever", "upstream azure 10.0.0.4\nroute . azure stale=9000h", []string{`found "stale=9000h", expected a duration between 1s and 168h0m0s`}},
		{"catalog twice", valid + "catalog azure azure", []string{"Corefile:4: found catalog azure a second time"}},
		{"host name as a server", "upstream azure dns.example\nroute . azure", []string{`found "dns.example", expected an IP address`}},
		{"no upstream and no route", "", []string{"Corefile:1: found no upstream", "Corefile:1: found no route"}},
		{"identity of a stub", valid + "clients stub 10.0.0.0/8 identity=65001", []string{"Corefile:4: found identity=65001 for clients stub"}},
		{"identity in a registered option", valid + "clients resolver 10.0.0.0/8 identity=8", []string{"Corefile:4: found identity=8 for clients resolver"}},
		{"two identities", valid + "clients resolver 10.0.0.0/8 identity=65001\nclients resolver 10.1.0.0/16 identity=65074", []string{"Corefile:5: found identity=65074, expected identity=65001"}},
		{"flattened for nobody", valid + "clients deny 10.0.0.0/8 answers=flattened", []string{"Corefile:4: found answers=flattened for clients deny"}},
		{"unknown client class", valid + "clients stubs 10.0.0.0/8", []string{`Corefile:4: found client class "stubs", expected one of stub, resolver, allow, deny`}},
		{"network with host bits", valid + "clients stub 10.20.0.1/16", []string{`found "10.20.0.1/16", which has bits set right of its length; expected 10.20.0.0/16`}},
		{"network twice", valid + "clients stub 10.0.0.0/8\nclients resolver 10.0.0.0/8", []string{"Corefile:5: found network 10.0.0.0/8 declared as stub and again as resolver"}},
		{"clients without a network", valid + "clients stub", []string{"Corefile:4: found clients with one argument"}},
		{"unknown action", valid + "direct stub drop", []string{`Corefile:4: found action "drop"`}},
		{"a resolver that would be refused", valid + "direct resolver refuse", []string{"Corefile:4: found direct resolver refuse, expected allow or audit"}},
		{"direct for an unknown class", valid + "direct vnet refuse", []string{`Corefile:4: found client class "vnet", expected one of stub, resolver, other`}},
		{"private range", valid + "private 300.0.0.0/8", []string{`Corefile:4: found "300.0.0.0/8", expected a network`}},
		{"a query log that is no file", valid + "querylog off", []string{"Corefile:4: found querylog off, expected stdout, a file"}},
		{"the same query log twice", valid + "querylog ./a.log\nquerylog ./a.log", []string{"Corefile:5: found a second querylog ./a.log"}},
		{"an option of another query log", valid + "querylog stdout size=10MiB sample=0 client=hashed names=", []string{
			"Corefile:4: found \"size=10MiB\", expected one of client, names, sample, slower, verdicts",
			"Corefile:4: found \"sample=0\", expected a whole number", "Corefile:4: found \"client=hashed\", expected shown", "Corefile:4: found \"names=\", expected one of"}},
		{"rules that cannot be read", valid + "rules nowhere.yaml", []string{"reading rules", "nowhere.yaml"}},
		{"every mistake at once", "upstream azure x\nroute a.example b\ndirect stub drop", []string{"Corefile:2", "Corefile:3", "Corefile:4"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseText(t.TempDir(), "privatelink {\n"+tc.body+"\n}\n")
			if err == nil {
				t.Fatalf("parse(%q) = nil, want a mistake", tc.body)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("parse(%q) = %q, want it to contain %q", tc.body, err, want)
				}
			}
		})
	}
}

func TestParseRefusesASecondStanza(t *testing.T) {
	const stanza = "privatelink {\nupstream azure 168.63.129.16\nroute . azure\n}\n"
	_, err := parseText(t.TempDir(), stanza+stanza)
	if err == nil || !strings.Contains(err.Error(), "Corefile:5: found a second privatelink") {
		t.Errorf("parse of two stanzas = %v, want the second reported at line 5", err)
	}
}

func TestParseRefusesAnArgument(t *testing.T) {
	_, err := parseText(t.TempDir(), "privatelink azure {\nupstream azure 168.63.129.16\nroute . azure\n}\n")
	if err == nil || !strings.Contains(err.Error(), `found "azure" after privatelink`) {
		t.Errorf("parse = %v, want the argument reported", err)
	}
}

func TestRulesReportMistakes(t *testing.T) {
	tests := []struct {
		name, rules string
		want        string
	}{
		{"unknown key", "routes:\n  - {suffix: a.example, group: azure}\nroute: []\n", "rules.yaml:3: field route not found"},
		{"unknown key of a route", "routes:\n  - suffix: a.example\n    groop: azure\n", `rules.yaml:3: found key "groop", expected one of suffix, name, group, missing, outage`},
		{"not a list", "routes: a.example\n", "rules.yaml:1: cannot unmarshal"},
		{"not a mapping", "routes:\n  - a.example\n", "rules.yaml:2: found something else than a mapping"},
		{"neither suffix nor name", "routes:\n  - {group: azure}\n", "rules.yaml:2: found a route with suffix \"\" and name \"\""},
		{"suffix and name", "routes:\n  - {suffix: a.example, name: b.example, group: azure}\n", "rules.yaml:2: found a route with suffix"},
		{"unknown group", "routes:\n\n  - {suffix: a.example, group: corp}\n", `rules.yaml:3: found upstream group "corp"`},
		{"route of the Corefile again", "routes:\n  - {suffix: ., group: azure}\n", "rules.yaml:2: found a second route for ."},
		{"client class", "clients:\n  - {class: vnet, networks: [10.0.0.0/8]}\n", `rules.yaml:2: found client class "vnet"`},
		{"a null route", "routes:\n  -\n", "rules.yaml:2: found nothing, expected a value"},
		{"a class without networks", "clients:\n  - {class: allow, networks: []}\n", `rules.yaml:2: found class "allow" without networks`},
		{"a second document", "routes: []\n---\nroutes: []\n", "found a second document"},
		{"a private range with its line", "private:\n  - 10.0.0.0/8\n  - banana\n", `rules.yaml:3: found "banana", expected a network`},
		{"broken YAML", "routes: [\n", "rules.yaml:1: did not find"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			directory := t.TempDir()
			if err := os.WriteFile(filepath.Join(directory, "rules.yaml"), []byte(tc.rules), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := parseText(directory, "privatelink {\nupstream azure 168.63.129.16\nroute . azure\nrules rules.yaml\n}\n")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("parse with rules %q = %v, want %q", tc.rules, err, tc.want)
			}
		})
	}
}

func TestParseKeepsEverything(t *testing.T) {
	directory := t.TempDir()
	rules := "routes:\n  - {suffix: Corp.Example, group: corp}\nclients:\n  - {class: stub, networks: [10.20.0.0/16]}\nprivate: [198.51.100.0/24]\n"
	if err := os.WriteFile(filepath.Join(directory, "rules.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := parseText(directory, `privatelink {
		catalog azure extra.yaml include=resource-manager
		upstream azure 168.63.129.16
		upstream corp [2001:db8::4]:5353 10.10.0.5
		route catalog azure
		route =db9.database.windows.net corp
		rules rules.yaml
		direct other audit
		state state
		querylog stdout
	}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(parsed.routes), 3; got != want {
		t.Errorf("routes = %d, want %d", got, want)
	}
	if got, want := parsed.routes[2].suffix, "corp.example."; got != want {
		t.Errorf("suffix of the rules file = %q, want %q", got, want)
	}
	if got, want := parsed.groups["corp"].servers, endpoints("[2001:db8::4]:5353", "10.10.0.5:53"); got[0] != want[0] || got[1] != want[1] {
		t.Errorf("servers = %v, want %v", got, want)
	}
	if got, want := parsed.path(parsed.state.value), filepath.Join(directory, "state"); got != want {
		t.Errorf("state directory = %q, want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("privatelink {\nupstream azure 168.63.129.16\nroute . azure\n}\n")
	f.Add("privatelink {\nclients stub 10.0.0.0/8\n")
	f.Add("privatelink { { } }")
	directory := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "rules") || strings.Contains(text, "cookies") {
			return // it would read files
		}
		parsed, err := parseText(directory, text)
		if err == nil && (len(parsed.groups) == 0 || len(parsed.routes) == 0) {
			t.Errorf("parse(%q) accepted a stanza without upstream or route", text)
		}
	})
}

func TestParseEndpoint(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "10.0.0.4", "10.0.0.4:53"},
		{"with a port", "10.0.0.4:5353", "10.0.0.4:5353"},
		{"IPv6", "2001:db8::4", "[2001:db8::4]:53"},
		{"IPv6 in brackets", "[2001:db8::4]", "[2001:db8::4]:53"},
		{"TLS", "tls://9.9.9.9%dns.quad9.net", "tls://9.9.9.9:853%dns.quad9.net"},
		{"TLS over IPv6", "tls://[2620:fe::fe]:8853%dns.quad9.net", "tls://[2620:fe::fe]:8853%dns.quad9.net"},
		{"HTTPS", "https://9.9.9.9%dns.quad9.net", "https://9.9.9.9:443%dns.quad9.net"},
		{"HTTPS with a path", "https://9.9.9.9%dns.quad9.net/q", "https://9.9.9.9:443%dns.quad9.net/q"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := parseEndpoint(tc.in); err != nil || got.String() != tc.want {
				t.Errorf("parseEndpoint(%q) = %v, %v; want %s", tc.in, got, err, tc.want)
			}
		})
	}
}
