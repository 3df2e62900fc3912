package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
)

// configurations are files of other servers, with what import ends with.
var configurations = []string{"named.conf", "unbound.conf", "windows.json", "infoblox.csv", "ruleset.json"}

// inConfigurations changes to the directory of the configurations, so that
// reports name them without a path.
func inConfigurations(t *testing.T) {
	t.Helper()
	t.Chdir(filepath.Join("..", "..", "plugin", "forwarders", "testdata", "import"))
}

func TestImportPrints(t *testing.T) {
	golden(t, "import-help.golden", run(t, "import", "--help").out)
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	inConfigurations(t)
	got := run(t, "import", "named.conf", "unbound.conf")
	asJSON := run(t, "import", "ruleset.json", "--json")
	t.Chdir(filepath.Dir(here))
	if got.code != codeFound || asJSON.code != codeFound {
		t.Errorf("import ended with %d and %d, want %d: something was left out", got.code, asJSON.code, codeFound)
	}
	golden(t, "import.golden", got.out)
	golden(t, "import-report.golden", got.err)
	golden(t, "import-json.golden", asJSON.out)
}

// TestOurServerLoadsWhatImportWrites starts our server with each rules file and
// the Corefile lines that go with it.
func TestOurServerLoadsWhatImportWrites(t *testing.T) {
	if err := dnsserver.SetDirectives(directives()); err != nil {
		t.Fatal(err)
	}
	caddy.Quiet, dnsserver.Quiet = true, true
	inConfigurations(t)
	for _, file := range configurations {
		t.Run(file, func(t *testing.T) {
			rules := filepath.Join(t.TempDir(), "rules.yaml")
			got := run(t, "import", file, "--output", rules)
			if got.code != codeFound {
				t.Fatalf("import %s = %+v, want %d", file, got, codeFound)
			}
			corefile := fmt.Sprintf(".:0 {\n    bind 127.0.0.1\n    privatelink {\n%s    }\n}\n", got.out)
			instance, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: serverType})
			if err != nil {
				t.Fatalf("starting with what import wrote: %v\n%s", err, corefile)
			}
			instance.ShutdownCallbacks()
			if err := instance.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestImportWithoutLossEndsWithZero(t *testing.T) {
	path := inDirectory(t, "named.conf", `zone "corp.example" { type forward; forward only; forwarders { 10.10.0.4; }; };`)
	if got := run(t, "import", path); got.code != 0 || got.err != "" || !strings.Contains(got.out, `{suffix: "corp.example", group: "corp-example"}`) {
		t.Errorf("import = %+v, want code 0 and no report", got)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	root := newRootCommand()
	var out strings.Builder
	root.SetIn(file)
	root.SetOut(&out)
	root.SetArgs([]string{"import", "-"})
	if err := root.Execute(); err != nil || !strings.Contains(out.String(), "# standard input:1") {
		t.Errorf("import - = %q, %v, want the forwarder of standard input", out.String(), err)
	}
}

func TestImportSaysWhatToDo(t *testing.T) {
	good := inDirectory(t, "named.conf", `zone "corp.example" { type forward; forward only; forwarders { 10.10.0.4; }; };`)
	tests := []struct {
		name      string
		arguments []string
		want      string
	}{
		{"no file", nil, `found no argument, expected "privatelink-dns import FILE..."`},
		{"a file that is not there", []string{"/nonexistent/named.conf"}, "open /nonexistent/named.conf: no such file or directory"},
		{"one file of two that is broken", []string{good, inDirectory(t, "broken.conf", "zone \"x\" {\n")}, "broken.conf:1: found a block without its closing brace"},
		{"no forwarders", []string{inDirectory(t, "named.conf", "options { };\n")}, "found no forwarder to carry over in"},
		{"an unknown language", []string{inDirectory(t, "x.conf", "hello")}, "name it with --from, one of"},
		{"an output that is there", []string{good, "-o", good}, "--output: open " + good + ": file exists"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, append([]string{"import"}, tc.arguments...)...)
			if got.code != codeFailed || got.out != "" || !strings.Contains(got.err, tc.want) {
				t.Errorf("import %q = %+v, want code 1, no output and %q", tc.arguments, got, tc.want)
			}
		})
	}
}
