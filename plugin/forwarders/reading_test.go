package forwarders

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"gopkg.in/yaml.v3"
)

// imports are the files of testdata/import, by the language they are in.
var imports = map[string]string{
	"bind": "named.conf", "unbound": "unbound.conf", "windows": "windows.json", "infoblox": "infoblox.csv", "azure-ruleset": "ruleset.json",
}

func importFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "import", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReadTellsAllOfAConfiguration(t *testing.T) {
	for name, file := range imports {
		t.Run(name, func(t *testing.T) {
			reading, err := Read("", file, importFile(t, file))
			if err != nil {
				t.Fatal(err)
			}
			imported := Combine(shipped(t, "azure"), reading)
			var got bytes.Buffer
			got.Write(imported.RulesFile("rules.yaml", []string{"Made by a test."}))
			for _, note := range imported.Notes {
				fmt.Fprintln(&got, note)
			}
			golden(t, filepath.Join("import", name+".golden"), got.Bytes())
		})
	}
}

// TestWhatIsWrittenIsReadBack: what we write for a server says the same to us.
func TestWhatIsWrittenIsReadBack(t *testing.T) {
	all := All(shipped(t, "azure")).Domains()
	for _, name := range []string{"bind", "unbound", "infoblox"} {
		t.Run(name, func(t *testing.T) {
			format, err := Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			plan := Plan{Domains: all, Targets: targets(t, "10.1.0.4:53", "10.1.0.5:53")}
			written, err := format.Render(plan)
			if err != nil {
				t.Fatal(err)
			}
			reading, err := Read("", "written", written)
			if err != nil || len(reading.Notes) > 0 {
				t.Fatalf("Read = %v, notes %v, want neither", err, reading.Notes)
			}
			var domains []string
			for _, rule := range reading.Rules {
				domains = append(domains, rule.Domain)
				if len(rule.Servers) != 2 || rule.Servers[0].Address != plan.Targets[0] || rule.Servers[1].Address != plan.Targets[1] {
					t.Errorf("Read(%s).Servers = %v, want %v", rule.Domain, rule.Servers, plan.Targets)
				}
			}
			if !slices.Equal(domains, all) {
				t.Errorf("Read = %q, want %q", domains, all)
			}
		})
	}
}

func TestReadRefusesWhatItCannotUnderstand(t *testing.T) {
	tests := []struct{ name, from, data, want string }{
		{"an unknown language", "", "hello\n", "file: could not tell what it is; name it with --from, one of azure-ruleset, windows, infoblox, unbound, bind"},
		{"a name that is none", "bind9", "", `found "bind9", expected one of`},
		{"too much", "bind", strings.Repeat(" ", maxFile+1), "expected at most 16777216"},
		{"bytes", "", "a\x00b", "file: found a zero byte"},
		{"an open block", "bind", "a;\nzone \"x\" {\n type forward;\n", "file:2: found a block without its closing brace"},
		{"a brace too many", "bind", "zone \"x\" { };\n}\n", "file:2: found a closing brace without a block"},
		{"an open quotation", "bind", "\n\nzone \"x\n", "file:3: found a quotation mark without its other half"},
		{"an open comment", "bind", "\n/* no end\n", "file:2: found a comment without its end"},
		{"deep blocks", "bind", strings.Repeat("{", 100000), "found blocks nested deeper than 64"},
		{"nothing but values", "windows", "[1" + strings.Repeat(",1", maxValues), "found more than 1000000 values"},
		{"nothing but statements", "bind", strings.Repeat("a;", maxWords/2+1), "found more than 2000000 words and signs"},
		{"no key", "unbound", "server:\n forward\n", `file:2: found "forward", expected a key`},
		{"no value", "unbound", "forward-zone:\n name:\n", "file:2: found name: without a value"},
		{"an open quotation mark", "unbound", "server:\n directory: \"x\n", "file:2: found a quotation mark"},
		{"cut JSON", "windows", "[\n{\"ZoneName\":", "file:2: found unexpected EOF, expected JSON"},
		{"no JSON", "azure-ruleset", "{\n]", "expected JSON"},
		{"deep JSON", "azure-ruleset", strings.Repeat("[", 100000), "file:1: found values nested deeper than 64"},
		{"zones before their header", "infoblox", "forwardzone,corp.example\n", "file:1: found a forward zone before the row header-forwardzone"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reading, err := Read(tc.from, "file", []byte(tc.data))
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(reading.Rules) > 0 {
				t.Errorf("Read = %v, %v, want nothing and an error with %q", reading, err, tc.want)
			}
		})
	}
}

func TestReadUnderstandsByteOrderMarks(t *testing.T) {
	const text = `[{"ZoneName":"corp.example","ZoneType":"Forwarder","MasterServers":["10.10.0.4"]}]`
	little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for _, unit := range utf16.Encode([]rune(text)) {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	for name, data := range map[string][]byte{"UTF-8": []byte("\xef\xbb\xbf" + text), "UTF-16LE": little, "UTF-16BE": big} {
		if reading, err := Read("", "file", data); err != nil || len(reading.Rules) != 1 || reading.Rules[0].Domain != "corp.example" {
			t.Errorf("Read of %s = %v, %v, want corp.example", name, reading, err)
		}
	}
}

func TestReadOneSpelling(t *testing.T) {
	tests := []struct{ name, from, data, domain, servers string }{
		{"BIND on one line", "bind", `zone corp.example{type forward;forward only;forwarders{10.0.0.4;};};`, "corp.example", "10.0.0.4"},
		{"BIND with a port for all", "bind", `zone "x.example" { type forward; forward only; forwarders port 5300 { 10.0.0.4; 10.0.0.5 port 5301; }; };`, "x.example", "10.0.0.4:5300 10.0.0.5:5301"},
		{"BIND with all comments", "bind", "zone /* a */ \"x.example\" // b\n { type forward; # c\n forward only; forwarders { 10.0.0.4; }; };", "x.example", "10.0.0.4"},
		{"BIND with a server twice", "bind", `zone "x.example" { type forward; forward only; forwarders { 10.0.0.4; 10.0.0.4; }; };`, "x.example", "10.0.0.4"},
		{"Unbound on one line", "unbound", `forward-zone: name: x.example forward-addr: 2001:db8::4@5353`, "x.example", "[2001:db8::4]:5353"},
		{"Unbound without a blank", "unbound", "forward-zone:\nname:\"x.example\"\nforward-addr:\"10.0.0.4\"", "x.example", "10.0.0.4"},
		{"Unbound with an address that ends like a key", "unbound", "forward-zone:\nname: x.example\nforward-addr: 2001:db8::\n", "x.example", "2001:db8::"},
		{"Unbound over TLS with a port", "unbound", "forward-zone:\nname: x.example\nforward-tls-upstream: yes\nforward-addr: 10.0.0.4@8853#dns.example", "x.example", "tls://10.0.0.4:8853%dns.example"},
		{"one Windows zone", "windows", `{"ZoneName":"x.example","ZoneType":"Forwarder","MasterServers":{"IPAddressToString":"10.0.0.4"}}`, "x.example", "10.0.0.4"},
		{"Infoblox with semicolons", "infoblox", "header-forwardzone;fqdn*;zone_format*;forward_to;forwarders_only\nforwardzone;x.example;FORWARD;dc1/10.0.0.4;TRUE\n", "x.example", "10.0.0.4"},
		{"an IPv6 reverse zone", "infoblox", "header-forwardzone,fqdn,zone_format,forward_to,forwarders_only\nforwardzone,2001:db8::/32,IPV6,a/10.0.0.4,True\n", "8.b.d.0.1.0.0.2.ip6.arpa", "10.0.0.4"},
		{"rules as the command line lists them", "azure-ruleset", `[{"domainName":"x.example.","forwardingRuleState":"Enabled","targetDnsServers":[{"ipAddress":"10.0.0.4","port":53}]}]`, "x.example", "10.0.0.4"},
		{"rules as the API lists them", "azure-ruleset", `{"value":[{"properties":{"domainName":"x.example.","targetDnsServers":[{"ipAddress":"10.0.0.4"}]}}]}`, "x.example", "10.0.0.4"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reading, err := Read(tc.from, "file", []byte(tc.data))
			if err != nil || len(reading.Rules) != 1 || len(reading.Notes) > 0 {
				t.Fatalf("Read = %+v, %v, want one rule and no notes", reading, err)
			}
			rule := reading.Rules[0]
			if got := strings.TrimSpace(serversKey(rule.Servers)); rule.Domain != tc.domain || got != tc.servers {
				t.Errorf("Read = %s to %s, want %s to %s", rule.Domain, got, tc.domain, tc.servers)
			}
		})
	}
}

func TestNotesAreBounded(t *testing.T) {
	var data strings.Builder
	for i := range 3 * maxNotes {
		fmt.Fprintf(&data, "zone \"z%d.example\" { type primary; };\n", i)
	}
	reading, err := Read("bind", "file", []byte(data.String()))
	last := reading.Notes[len(reading.Notes)-1]
	if err != nil || len(reading.Notes) != maxNotes+1 || last.More != 2*maxNotes-1 {
		t.Errorf("Read gives %d notes, the last %q, %v, want %d and how many more", len(reading.Notes), last, err, maxNotes+1)
	}
}

func TestGroupsHaveNamesOfTheirOwn(t *testing.T) {
	rule := func(domain, server string) Rule {
		return Rule{Domain: domain, Servers: []Server{{Address: netip.MustParseAddrPort(server)}}}
	}
	long := strings.Repeat("a", 60)
	imported := Combine(shipped(t, "azure"), Reading{Rules: []Rule{
		rule("a.b", "10.0.0.1:53"), rule("a-b", "10.0.0.2:53"), rule("a-b-2", "10.0.0.3:53"), rule(".", "10.0.0.4:53"), rule("default", "10.0.0.5:53"),
		rule(long+".x", "10.0.0.6:53"), rule(long+".y", "10.0.0.7:53"), rule("z", "168.63.129.16:53"), rule("y", "10.0.0.1:53"),
	}})
	var got []string
	for _, group := range imported.Groups {
		got = append(got, group.Name)
	}
	short := strings.Repeat("a", 40)
	want := []string{"a-b", "a-b-2", "a-b-2-2", "default", "default-2", short, short + "-2", "azure"}
	if !slices.Equal(got, want) {
		t.Errorf("Combine names groups %q, want %q", got, want)
	}
	if line := imported.Groups[7].Line(); line != "upstream azure 168.63.129.16 budget=azure" {
		t.Errorf("Line = %q, want the budget of Azure-provided DNS", line)
	}
	if last := imported.Routes[8]; last.Group != "a-b" {
		t.Errorf("the last route is to group %q, want the one with the same servers, a-b", last.Group)
	}
}

func FuzzRead(f *testing.F) {
	for name, file := range imports {
		f.Add(name, importFile(f, file))
		f.Add("", importFile(f, file))
	}
	c := shipped(f, "azure")
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		reading, err := Read(name, "file", data)
		if err != nil {
			return
		}
		if len(reading.Notes) > maxNotes+1 {
			t.Errorf("Read gives %d notes, want at most %d", len(reading.Notes), maxNotes+1)
		}
		for _, rule := range reading.Rules {
			if domain, err := domainName(rule.Domain); err != nil || domain != rule.Domain || len(rule.Servers) == 0 || len(rule.Servers) > maxServers || rule.Line < 1 {
				t.Errorf("Read gives %+v, %v, want a domain in its usual form, servers and a line", rule, err)
			}
		}
		checkRulesFile(t, Combine(c, reading), string(data))
	})
}

// checkRulesFile reads a rules file back, with a text of others in its comment.
func checkRulesFile(t *testing.T, imported Imported, made string) {
	t.Helper()
	var document struct {
		Routes []struct{ Suffix, Group string }
	}
	if err := yaml.Unmarshal(imported.RulesFile("rules.yaml", []string{made}), &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Routes) != len(imported.Routes) {
		t.Fatalf("the rules file has %d routes, want %d", len(document.Routes), len(imported.Routes))
	}
	for i, route := range document.Routes {
		if route.Suffix != imported.Routes[i].Suffix || route.Group != imported.Routes[i].Group {
			t.Errorf("the rules file says %v, want %v", route, imported.Routes[i])
		}
	}
}
