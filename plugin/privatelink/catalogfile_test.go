package privatelink

import (
	"path/filepath"
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/zones"
)

// A new namespace, or a whole new catalog, takes a file and neither a new binary nor a
// restart; one with a mistake changes nothing.
func TestTheCatalogIsUpdatedAsAFile(t *testing.T) {
	shipped, _ := zones.Lookup("azure")
	const (
		added    = "schema: 1\ncloud: own\nservices:\n  - service: New\n    private_zones: [privatelink.new.example]\n    public_suffixes: [new.example]\n"
		nothing  = "schema: 1\ncloud: own\n"
		unknown  = "schema: 1\ncloud: own\nservice: []\n"
		directly = "x.privatelink.new.example."
	)
	tests := []struct {
		name, property, before string
		steps                  []string
		want                   []int
	}{
		{"beside the built-in catalog", "catalog azure own.yaml", nothing, []string{added, unknown, nothing}, []int{dns.RcodeRefused, dns.RcodeRefused, dns.RcodeServerFailure}},
		{"in its place", "catalog own.yaml", string(shipped), []string{added, unknown, string(shipped)}, []int{dns.RcodeRefused, dns.RcodeRefused, dns.RcodeServerFailure}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			run := newRunningIn(t, map[string]string{"rules.yaml": "clients:\n  - {class: stub, networks: [10.20.0.0/16]}\n", "own.yaml": tc.before}, tc.property)
			if err := run.start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = run.stop() }()
			if got := ask(t, run.handler, "10.20.0.9", directly, dns.TypeA).Rcode; got != dns.RcodeServerFailure {
				t.Fatalf("a name that the catalog lacks = %s, want SERVFAIL of the upstream", dns.RcodeToString[got])
			}
			for index, text := range tc.steps {
				writeFile(t, filepath.Join(run.config.directory, "own.yaml"), text)
				run.reloadChangedFiles()
				if got := ask(t, run.handler, "10.20.0.9", directly, dns.TypeA).Rcode; got != tc.want[index] {
					t.Errorf("after change %d = %s, want %s", index+1, dns.RcodeToString[got], dns.RcodeToString[tc.want[index]])
				}
			}
		})
	}
}
