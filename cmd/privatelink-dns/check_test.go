package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// checkIn checks a Corefile of testdata on a machine that is not in Azure, and returns
// what is printed and how the command would end.
func checkIn(t *testing.T, file string, asJSON bool) (printed string, code int) {
	t.Helper()
	options := &checkOptions{corefile: file, asJSON: asJSON, machine: func() (privatelink.Machine, error) {
		return privatelink.Machine{AssetTag: "Desktop", Source: func(netip.AddrPort) netip.Addr { return netip.MustParseAddr("192.0.2.2") }}, nil
	}}
	var out strings.Builder
	if err := options.run(&out); err != nil {
		if code = exitCode(err); err.Error() != "" {
			t.Fatal(err)
		}
	}
	return out.String(), code
}

func TestCheckPrints(t *testing.T) {
	t.Chdir("testdata")
	for _, tc := range []struct {
		corefile, golden string
		asJSON           bool
		wantCode         int
	}{
		{"check-mistakes.corefile", "check-mistakes.golden", false, codeFailed},
		{"check-warnings.corefile", "check-warnings.golden", false, codeFound},
		{"check-warnings.corefile", "check-json.golden", true, codeFound},
		{"check-clean.corefile", "check-clean.golden", false, 0},
	} {
		t.Run(tc.golden, func(t *testing.T) {
			printed, code := checkIn(t, tc.corefile, tc.asJSON)
			if code != tc.wantCode {
				t.Errorf("check %s ends with %d, want %d", tc.corefile, code, tc.wantCode)
			}
			t.Chdir("..")
			golden(t, tc.golden, printed)
		})
	}
}

func TestCheckHelp(t *testing.T) { runGolden(t, "check-help.golden", "check", "--help") }

func TestCheckOfNoFile(t *testing.T) {
	printed, code := checkIn(t, "nonexistent", false)
	if code != codeFailed || !strings.Contains(printed, "no such file; name the Corefile with -c FILE") {
		t.Errorf("check of no file = %d, %q", code, printed)
	}
}

// TestCheckOfTheExample: what a newcomer is given has no mistake, and nothing to remark.
func TestCheckOfTheExample(t *testing.T) {
	if printed, code := checkIn(t, "../../Corefile.example", false); code != 0 {
		t.Errorf("check of Corefile.example = %d\n%swant no remark", code, printed)
	}
}
