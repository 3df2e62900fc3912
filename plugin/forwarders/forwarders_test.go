package forwarders

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was written with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it anew)", path, got, want)
	}
}

func targets(t *testing.T, written ...string) []netip.AddrPort {
	t.Helper()
	var parsed []netip.AddrPort
	for _, one := range written {
		parsed = append(parsed, netip.MustParseAddrPort(one))
	}
	return parsed
}

// vaultAndSQL is what a plan looks like that forwards Key Vault and SQL.
func vaultAndSQL(t *testing.T, to ...string) Plan {
	t.Helper()
	return Plan{
		Domains: []string{"database.windows.net", "vault.azure.net", "vaultcore.azure.net"},
		Targets: targets(t, to...),
		Made:    []string{"Made by: a test"},
	}
}

func TestEveryFormatIsWrittenAsBefore(t *testing.T) {
	for _, format := range Formats() {
		t.Run(format.Name, func(t *testing.T) {
			got, err := format.Render(vaultAndSQL(t, "10.1.0.4:53", "10.1.0.5:53"))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, format.Name+".golden", got)
		})
	}
}

func TestTargetsAreSpelledAsTheServerReadsThem(t *testing.T) {
	tests := []struct{ format, want string }{
		{"bind", "10.1.0.4 port 5353; 2001:db8::4;"},
		{"unbound", "forward-addr: 10.1.0.4@5353\n    forward-addr: 2001:db8::4\n"},
		{"dnsmasq", "/10.1.0.4#5353\nserver=/database.windows.net/2001:db8::4\n"},
		{"powerdns", "=10.1.0.4:5353;2001:db8::4\n"},
		{"knot", "policy.STUB({'10.1.0.4@5353', '2001:db8::4'})"},
		{"coredns", "forward . 10.1.0.4:5353 2001:db8::4 {"},
		{"azure-ruleset-bicep", "{ ipAddress: '10.1.0.4', port: 5353 }"},
		{"azure-ruleset-terraform", "port       = 5353"},
	}
	for _, tc := range tests {
		t.Run(tc.format, func(t *testing.T) {
			format, err := Lookup(tc.format)
			if err != nil {
				t.Fatal(err)
			}
			got, err := format.Render(vaultAndSQL(t, "10.1.0.4:5353", "[2001:db8::4]:53"))
			if err != nil || !strings.Contains(string(got), tc.want) {
				t.Errorf("Render of %s = %v, %s\nwant it to have %q", tc.format, err, got, tc.want)
			}
		})
	}
	if got := spell(targets(t, "[2001:db8::4]:5353"), ":"); got[0] != "[2001:db8::4]:5353" {
		t.Errorf("spell = %q, want the address in brackets", got)
	}
}

func TestRenderRefusesWhatWouldNotWork(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = strings.Repeat("a", i%60+1) + strings.Repeat(".b", i/60+1)
	}
	tests := []struct {
		name, format string
		change       func(*Plan)
		want         string
	}{
		{"three targets for Windows", "windows", func(p *Plan) { p.Targets = targets(t, "10.1.0.4:53", "10.1.0.5:53", "10.1.0.6:53") }, "found 3 targets, expected at most 2: Windows waits 5 seconds"},
		{"another port for Windows", "windows", func(p *Plan) { p.Targets = targets(t, "10.1.0.4:5353") }, "expected port 53: Windows DNS Server asks no other port"},
		{"another port for Infoblox", "infoblox", func(p *Plan) { p.Targets = targets(t, "10.1.0.4:5353") }, "expected port 53"},
		{"sixteen targets for CoreDNS", "coredns", func(p *Plan) { p.Targets = slices.Repeat(p.Targets, 16) }, "found 16 targets, expected at most 15"},
		{"seven targets for a ruleset", "azure-ruleset-bicep", func(p *Plan) { p.Targets = slices.Repeat(p.Targets, 7) }, "found 7 targets, expected at most 6"},
		{"Azure's own address in a ruleset", "azure-ruleset-terraform", func(p *Plan) { p.Targets = targets(t, "168.63.129.16:53") }, "which Azure refuses"},
		{"too many rules for a ruleset", "azure-ruleset-bicep", func(p *Plan) { p.Domains = many }, "found 1001 domains, expected at most 1000"},
		{"a privatelink zone", "bind", func(p *Plan) { p.Domains = []string{"privatelink.vaultcore.azure.net"} }, "expected its parent"},
		{"a quotation mark", "bind", func(p *Plan) { p.Domains = []string{`a"; };.example`} }, "expected a name of lower-case letters"},
		{"an empty label", "knot", func(p *Plan) { p.Domains = []string{"a..example"} }, "expected a name of"},
		{"a final dot", "unbound", func(p *Plan) { p.Domains = []string{"vault.azure.net."} }, "without a final dot"},
		{"no target", "bind", func(p *Plan) { p.Targets = nil }, "found no target"},
		{"no domain", "bind", func(p *Plan) { p.Domains = nil }, "found no domain"},
		{"the same target twice", "bind", func(p *Plan) { p.Targets = slices.Repeat(p.Targets[:1], 2) }, "found target 10.1.0.4:53 twice"},
		{"every address", "bind", func(p *Plan) { p.Targets = targets(t, "0.0.0.0:53") }, "expected the address of a server"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			format, err := Lookup(tc.format)
			if err != nil {
				t.Fatal(err)
			}
			plan := vaultAndSQL(t, "10.1.0.4:53")
			tc.change(&plan)
			if got, err := format.Render(plan); err == nil || !strings.Contains(err.Error(), tc.want) || got != nil {
				t.Errorf("Render = %q, %v, want nothing and an error with %q", got, err, tc.want)
			}
		})
	}
}

func TestTheHeaderStaysAComment(t *testing.T) {
	for _, format := range Formats() {
		t.Run(format.Name, func(t *testing.T) {
			plan := vaultAndSQL(t, "10.1.0.4:53")
			plan.Made = []string{"Made by: x\nformat C:\r\u2028next"}
			got, err := format.Render(plan)
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(got), "\n\n")
			for line := range strings.Lines(head) {
				if !strings.HasPrefix(line, strings.TrimSpace(format.comment)) {
					t.Errorf("the header has the line %q outside of comments", line)
				}
			}
			if strings.ContainsAny(head, "\r\u2028") {
				t.Errorf("the header has a line break that was not asked for: %q", head)
			}
		})
	}
}

func TestRulesHaveNamesOfTheirOwn(t *testing.T) {
	rules := rulesOf([]string{"a-b.example", "a.b.example", "1.example", strings.Repeat("a", 63) + "." + strings.Repeat("b", 63), strings.Repeat("a", 63) + "." + strings.Repeat("b", 62)})
	seen := map[string]bool{}
	for _, rule := range rules {
		if seen[rule.name] || len(rule.name) > 80 || rule.name[0] < 'a' || rule.name[0] > 'z' {
			t.Errorf("rule for %s is named %q, want a name of its own with at most 80 characters that begins with a letter", rule.domain, rule.name)
		}
		seen[rule.name] = true
	}
}

func TestTerraformIsFormatted(t *testing.T) {
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not installed")
	}
	written, err := rulesetTerraform.Render(vaultAndSQL(t, "10.1.0.4:53", "10.1.0.5:53"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("terraform", "fmt", "-")
	command.Stdin = strings.NewReader(string(written))
	formatted, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(formatted) != string(written) {
		t.Errorf("terraform fmt changes the output to\n%s", formatted)
	}
}

func TestFormatsAreSorted(t *testing.T) {
	sorted := slices.IsSortedFunc(Formats(), func(a, z Format) int { return strings.Compare(a.Name, z.Name) })
	if len(Formats()) != 10 || !sorted {
		t.Errorf("Formats() are %d, sorted %v, want 10, sorted", len(Formats()), sorted)
	}
	if _, err := Lookup("bindd"); err == nil || !strings.Contains(err.Error(), "expected one of azure-ruleset-bicep, ") {
		t.Errorf("Lookup(bindd) = %v, want an error with the names there are", err)
	}
}
