package gates

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/privatelink-dns/privatelink-dns/"

// allowed are the packages of this module that each package may import. A
// package that is not named may import none: the leaves know nothing.
var allowed = map[string][]string{
	"plugin/catalog":        {},
	"plugin/policy":         {"plugin/catalog", "plugin/verdict"},
	"plugin/verdict":        {"plugin/catalog", "plugin/wire"},
	"plugin/cache":          {"plugin/wire"},
	"plugin/upstream":       {"plugin/wire"},
	"plugin/querylog":       {},
	"plugin/batch":          {},
	"plugin/stream":         {},
	"plugin/forwarders":     {"plugin/catalog"},
	"plugin/override":       {},
	"plugin/ratelimit":      {},
	"plugin/logreport":      {},
	"plugin/replay":         {"plugin/logreport"},
	"plugin/audit":          {"plugin/catalog"},
	"plugin/azureinventory": {"plugin/audit"},
	"plugin/azuresim":       {"plugin/catalog"},
	"plugin/privatelink":    {"*"},
	"cmd/privatelink-dns":   {"*"},
}

// mayImportCoreDNS are the only packages that know the host we plug into.
var mayImportCoreDNS = []string{"plugin/privatelink", "plugin/azuresim", "cmd/privatelink-dns"}

// banned are imports that nobody may use, with the reason.
var banned = map[string]string{
	"github.com/prometheus/client_golang/prometheus/promauto": "collectors are registered once, by hand; promauto relies on global state",
	"github.com/stretchr/testify":                             "the testing package says it all",
	"io/ioutil":                                               "it is deprecated",
	"github.com/coredns/coredns/coremain":                     "it parses os.Args and traps signals by itself",
	"github.com/coredns/coredns/plugin/pkg/proxy":             "it cannot be cancelled and changes the caller's message; plugin/upstream replaces it",
	"github.com/coredns/coredns/plugin/pkg/singleflight":      "a panic in it blocks every later caller of the key",
	"github.com/coredns/coredns/plugin/pkg/cache":             "it evicts at random",
}

func TestImportsPointInTheAllowedDirection(t *testing.T) {
	for _, s := range sources(t) {
		for _, specification := range s.file.Imports {
			imported, err := strconv.Unquote(specification.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if reason := forbidden(s, imported); reason != "" {
				t.Errorf("%s imports %s: %s", s.at(specification), imported, reason)
			}
		}
	}
}

// forbidden says why a file may not import a package; empty if it may.
func forbidden(s source, imported string) string {
	if reason, isBanned := banned[imported]; isBanned {
		return reason
	}
	if s.isTest() {
		return ""
	}
	return forbiddenArrow(s.directory(), imported)
}

func forbiddenArrow(directory, imported string) string {
	ours, isOurs := strings.CutPrefix(imported, module)
	switch {
	case strings.HasPrefix(imported, "github.com/coredns/") && !slices.Contains(mayImportCoreDNS, directory):
		return "only the adapters know CoreDNS"
	case strings.HasPrefix(imported, "github.com/prometheus/") && directory != "plugin/privatelink":
		return "only plugin/privatelink knows Prometheus"
	case imported == "log" && strings.HasPrefix(directory, "plugin/"):
		return "packages under plugin return errors; the adapter logs"
	case isOurs && !mayImport(directory, ours):
		return "the arrow is not allowed"
	}
	return ""
}

func mayImport(directory, ours string) bool {
	permitted := allowed[directory]
	if strings.HasPrefix(directory, "test/") {
		return true
	}
	return slices.Contains(permitted, ours) || slices.Contains(permitted, "*")
}

func TestForbiddenSeesAForbiddenImport(t *testing.T) {
	tests := []struct {
		name, path, imported string
		wantForbidden        bool
	}{
		{"a leaf may not know CoreDNS", "plugin/cache/cache.go", "github.com/coredns/coredns/plugin", true},
		{"the adapter may", "plugin/privatelink/setup.go", "github.com/coredns/coredns/plugin", false},
		{"a leaf may not know its user", "plugin/catalog/catalog.go", module + "plugin/policy", true},
		{"policy may know the catalog", "plugin/policy/policy.go", module + "plugin/catalog", false},
		{"nobody may use promauto", "plugin/privatelink/metrics.go", "github.com/prometheus/client_golang/prometheus/promauto", true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if reason := forbidden(source{path: tc.path}, tc.imported); (reason != "") != tc.wantForbidden {
				t.Errorf("forbidden(%s, %s) = %q, want forbidden %v", tc.path, tc.imported, reason, tc.wantForbidden)
			}
		})
	}
}
