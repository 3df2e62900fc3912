package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/zones"
)

var update = flag.Bool("update", false, "write the golden files anew")

// said is what a command wrote and how the program would end.
type said struct {
	out, err string
	code     int
}

// run executes a command line as the program does.
func run(t *testing.T, arguments ...string) said {
	t.Helper()
	var out, messages bytes.Buffer
	root := newRootCommand()
	root.SetArgs(arguments)
	root.SetOut(&out)
	root.SetErr(&messages)
	code := 0
	if err := root.Execute(); err != nil {
		code = exitCode(err)
		messages.WriteString("privatelink-dns: " + err.Error() + "\n")
	}
	return said{out.String(), messages.String(), code}
}

// golden compares what was written with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it anew)", path, got, want)
	}
}

// runGolden runs a command that is to succeed and compares what it prints.
func runGolden(t *testing.T, file string, arguments ...string) {
	t.Helper()
	got := run(t, arguments...)
	if got.code != 0 || got.err != "" {
		t.Fatalf("%q ended with code %d and wrote %q, want 0 and nothing", arguments, got.code, got.err)
	}
	golden(t, file, got.out)
}

// inDirectory writes a file and returns its path.
func inDirectory(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestForwardersPrints(t *testing.T) {
	both := []string{"--target", "10.1.0.4,10.1.0.5"}
	tests := []struct {
		file      string
		arguments []string
	}{
		{"forwarders-help.golden", []string{"--help"}},
		{"forwarders-windows.golden", append(both, "--format", "windows", "--services", "Azure Key Vault,database.windows.net")},
		{"forwarders-bind-all.golden", append(both, "-f", "bind", "--all")},
		{"forwarders-json.golden", append(both, "--json", "-s", "databricks.azure.us", "--catalog", "azure-usgov")},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			runGolden(t, tc.file, append([]string{"forwarders"}, tc.arguments...)...)
		})
	}
}

func TestForwardersInUse(t *testing.T) {
	log := inDirectory(t, "query.log", `{"qname":"v1.vault.azure.net.","namespace":"vault.azure.net"}`+"\n"+`{"qname":"x.example.","namespace":"example"}`+"\n{\"qna")
	got := run(t, "forwarders", "-f", "powerdns", "-t", "10.1.0.4", "--in-use", log)
	for _, want := range []string{"+vault.azure.net=10.1.0.4\n+vaultcore.azure.net=10.1.0.4\n", "--in-use " + log} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("forwarders --in-use = %+v, want code 0 and %q", got, want)
		}
	}
	for _, want := range []string{"1 of 3 lines are no records", "not in the catalog, left out: example;"} {
		if !strings.Contains(got.err, want) {
			t.Errorf("forwarders --in-use says %q, want %q", got.err, want)
		}
	}
}

func TestCommandsSayWhatToDo(t *testing.T) {
	empty := inDirectory(t, "query.log", `{"qname":"www.example.org."}`)
	target := []string{"forwarders", "-f", "bind", "-t", "10.1.0.4"}
	tests := []struct {
		name      string
		arguments []string
		want      string
	}{
		{"a Corefile without -c", []string{"check", "Corefile"}, `found "Corefile", expected "privatelink-dns check"; name the Corefile with -c FILE`},
		{"no format", []string{"forwarders", "-t", "10.1.0.4", "--all"}, `--format: found format "", expected one of azure-ruleset-bicep, `},
		{"an unknown format", []string{"forwarders", "-f", "bind9", "-t", "10.1.0.4", "--all"}, `found format "bind9", expected one of`},
		{"no target", []string{"forwarders", "-f", "bind", "--all"}, "found no target, expected at least one address such as 10.1.0.4"},
		{"a name as target", []string{"forwarders", "-f", "bind", "-t", "dns.example", "--all"}, `--target: found "dns.example", expected an IP address`},
		{"three targets for Windows", []string{"forwarders", "-f", "windows", "-t", "10.1.0.4,10.1.0.5,10.1.0.6", "--all"}, "writing forwarders for Windows DNS Server: found 3 targets, expected at most 2"},
		{"nothing chosen", target, "expected one of --all, --services and --in-use"},
		{"two choices", append(target, "--all", "-s", "x"), "none of the others can be"},
		{"an unknown service", append(target, "-s", "blob"), `--services: found "blob", expected the name of a service or a public suffix; "privatelink-dns zones list"`},
		{"a log that is not there", append(target, "--in-use", "/nonexistent/query.log"), "--in-use /nonexistent/query.log: no such file or directory"},
		{"a log without namespaces", append(target, "--in-use", empty), "found no namespace in the log (1 records)"},
		{"a catalog that is not there", append(target, "--all", "--catalog", "azur"), "reading a catalog: open azur: no such file or directory; built in are azure, azure-china, azure-usgov"},
		{"an unknown name", []string{"zones", "show", "www.example.org"}, "which is in no namespace of the catalog"},
		{"an unknown zone", []string{"zones", "show", "x.privatelink.example.org"}, "whose privatelink zone is not in the catalog"},
		{"a part of a service", []string{"zones", "show", "kubernetes"}, `such as "Azure Kubernetes Service - Kubernetes API"`},
		{"nothing to list", []string{"zones", "list", "zzz"}, `found no namespace with "zzz"`},
		{"a broken file to compare", []string{"zones", "diff", inDirectory(t, "zones.yaml", "schema: 2\ncloud: x\n")}, `zones.yaml:1: found schema "2", expected 1`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, tc.arguments...)
			if got.code != 1 || got.out != "" || !strings.Contains(got.err, tc.want) {
				t.Errorf("%q = %+v, want code 1, no output and %q", tc.arguments, got, tc.want)
			}
		})
	}
}

func TestZonesPrints(t *testing.T) {
	tests := []struct {
		file      string
		arguments []string
	}{
		{"zones-help.golden", []string{"--help"}},
		{"zones-list.golden", []string{"list"}},
		{"zones-list-text.golden", []string{"list", "key vault"}},
		{"zones-list-json.golden", []string{"list", "key vault", "--json"}},
		{"zones-show-public.golden", []string{"show", "DB1.database.windows.net."}},
		{"zones-show-privatelink.golden", []string{"show", "v1.privatelink.vaultcore.azure.net"}},
		{"zones-show-legitimate.golden", []string{"show", "aks1.privatelink.eastus.azmk8s.io"}},
		{"zones-show-direct.golden", []string{"show", "x.jrds.eus.privatelink.azure-automation.net"}},
		{"zones-show-zone.golden", []string{"show", "privatelink.eastus.kusto.windows.net"}},
		{"zones-show-service.golden", []string{"show", "site recovery"}},
		{"zones-show-json.golden", []string{"show", "v1.privatelink.vaultcore.azure.net", "--json"}},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			runGolden(t, tc.file, append([]string{"zones"}, tc.arguments...)...)
		})
	}
}

// TestEveryNameOfTheCatalogIsShown: no service, suffix or zone is a word that
// show does not understand.
func TestEveryNameOfTheCatalogIsShown(t *testing.T) {
	for _, cloud := range zones.Names() {
		loaded, err := loadCatalog([]string{cloud}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, namespace := range listNamespaces(loaded, "") {
			for _, name := range append(append([]string{namespace.Suffix}, namespace.PrivateZones...), namespace.Services...) {
				shown, err := describeName(loaded, nil, name)
				if err != nil || len(shown.Zones) == 0 || len(shown.Forward) == 0 || len(shown.Suffixes) == 0 {
					t.Errorf("%s: describeName(%q) = %+v, %v, want zones and what to forward", cloud, name, shown, err)
				}
			}
		}
	}
}

func TestZonesDiff(t *testing.T) {
	shipped, _ := zones.Lookup("azure")
	changed := strings.NewReplacer(
		"[privatelink.vaultcore.azure.net]", "[privatelink.vaultnew.azure.net]",
		"zone: privatelink.vaultcore.azure.net", "zone: privatelink.vaultnew.azure.net",
		"direct_names: [\"*-asr-pod01-*\"]", "direct: legitimate",
		"Azure Attestation", "Azure Attestation and more",
	).Replace(string(shipped))
	path := inDirectory(t, "new.yaml", changed)
	got := run(t, "zones", "diff", path)
	if got.code != codeFound || !strings.Contains(got.err, "azure and "+path+" differ in ") {
		t.Errorf("zones diff ended with %d, %q, want %d", got.code, got.err, codeFound)
	}
	golden(t, "zones-diff.golden", got.out)
	golden(t, "zones-diff-json.golden", run(t, "zones", "diff", "--json", path).out)

	own := inDirectory(t, "own.yaml", "schema: 1\ncloud: own\nservices:\n  - service: Own\n    private_zones: [privatelink.own.example]\n    public_suffixes: [own.example]\n")
	if merged := run(t, "zones", "diff", "--merge", own); merged.code != codeFound || strings.Contains(merged.out, "- ") || !strings.Contains(merged.out, "+ namespace own.example\n") {
		t.Errorf("zones diff --merge = %+v, want only what was added", merged)
	}
	if same := run(t, "zones", "diff", inDirectory(t, "same.yaml", string(shipped))); same.code != 0 || !strings.HasSuffix(same.out, "are the same to the server\n") {
		t.Errorf("zones diff of the same = %+v, want code 0", same)
	}
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	for _, tc := range []struct {
		name string
		got  bool
		want bool
	}{
		{"a file", paintFor(file).on, false},
		{"a buffer", paintFor(&bytes.Buffer{}).on, false},
		{"a character device", paintFor(terminal).on, true},
	} {
		if tc.got != tc.want {
			t.Errorf("colours for %s: %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	t.Setenv("NO_COLOR", "1")
	if paintFor(terminal).on {
		t.Error("NO_COLOR=1 does not turn colours off")
	}
	var out strings.Builder
	printDifferences(&out, []difference{{Change: "added", Kind: "namespace", Name: "a.example"}}, paint{on: true})
	if want := "\x1b[32m+ namespace a.example\x1b[0m\n"; out.String() != want {
		t.Errorf("printDifferences in colour = %q, want %q", out.String(), want)
	}
}

func TestShellCompletion(t *testing.T) {
	corefile := inDirectory(t, "Corefile", ". {\n privatelink {\n upstream azure 127.0.0.1:9\n route . azure\n }\n}\n")
	tests := []struct {
		arguments []string
		want      string
	}{
		{[]string{"forwarders", "--format", ""}, "bind\tBIND\n"},
		{[]string{"forwarders", "--services", ""}, "Azure Key Vault\n"},
		{[]string{"forwarders", "--services", ""}, "vault.azure.net\tAzure Key Vault\n"},
		{[]string{"zones", "show", ""}, "Azure Key Vault\n"},
		{[]string{"zones", "list", "--catalog", ""}, "azure-usgov\n"},
		{[]string{"explain", "db1.example", ""}, "AAAA\n"},
		{[]string{"override", "add", "db1.example", ""}, "resolve\n"},
		{[]string{"doctor", "-c", corefile, "--stanza", ""}, corefile + ":2\n"},
		// Without a running server there is nothing to propose but no file either.
		{[]string{"override", "add", "db1.example", "resolve", "--state", "/nonexistent", ""}, ":4\n"},
		{[]string{"override", "remove", "--state", "/nonexistent", ""}, ":4\n"},
	}
	for _, tc := range tests {
		if got := run(t, append([]string{"__complete"}, tc.arguments...)...); !strings.Contains(got.out, tc.want) {
			t.Errorf("completing %q proposes %q, want %q among it", tc.arguments, got.out, tc.want)
		}
	}
}

func TestExitCode(t *testing.T) {
	if got := exitCode(errors.New("x")); got != codeFailed {
		t.Errorf("exitCode of an error = %d, want %d", got, codeFailed)
	}
	if got := exitCode(errors.Join(findingError("x"))); got != codeFound {
		t.Errorf("exitCode of a finding = %d, want %d", got, codeFound)
	}
}
