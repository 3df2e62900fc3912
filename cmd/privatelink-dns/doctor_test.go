package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// aMachine is a machine in good health, as far as the files of /proc tell; rmem and wmem
// are its net.core.rmem_max and net.core.wmem_max.
func aMachine(t *testing.T, rmem, wmem string) doctorMachine {
	t.Helper()
	proc := t.TempDir()
	if err := os.MkdirAll(filepath.Join(proc, "sys/net/core"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, size := range map[string]string{"rmem_max": rmem, "wmem_max": wmem} {
		if err := os.WriteFile(filepath.Join(proc, "sys/net/core", file), []byte(size+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return doctorMachine{
		proc: proc, now: func() time.Time { return time.Date(2026, time.November, 22, 8, 0, 0, 0, time.UTC) },
		clock: func() (bool, bool) { return true, true },
	}
}

// diagnose runs doctor in the site at hand, on names, and returns what it prints.
func diagnose(t *testing.T, machine doctorMachine, asJSON bool, names ...string) (printed string, code int) {
	t.Helper()
	options := &doctorOptions{corefile: "Corefile", services: usualNamespaces, machine: machine, asJSON: asJSON, names: names}
	var out, messages strings.Builder
	if err := options.run(t.Context(), &out, &messages); err != nil {
		if code = exitCode(err); err.Error() != "" {
			t.Fatal(err)
		}
	}
	if messages.Len() > 0 {
		t.Errorf("doctor showed its progress where there is no terminal: %q", messages.String())
	}
	return steady(out.String()), code
}

func TestDoctorPrints(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file, rmem, wmem string
		asJSON           bool
		wantCode         int
	}{
		{"doctor-well.golden", "8388608", "8388608", false, 0},
		{"doctor-buffer.golden", "212992", "229376", false, codeFound},
		{"doctor-json.golden", "212992", "229376", true, codeFound},
	} {
		t.Run(tc.file, func(t *testing.T) {
			inSite(t, smallCloud(t))
			printed, code := diagnose(t, aMachine(t, tc.rmem, tc.wmem), tc.asJSON)
			if code != tc.wantCode {
				t.Errorf("doctor ends with %d, want %d", code, tc.wantCode)
			}
			t.Chdir(filepath.Dir(testdata))
			golden(t, tc.file, printed)
		})
	}
}

// Both sites have the zone of the databases, and only one that of the web sites.
func TestDoctorComparesSites(t *testing.T) {
	production := smallCloud(t)
	inSite(t, production)
	test := cloudOf(t, strings.ReplaceAll(zoneText, "ns1-01.azure-dns.com. msnhst.microsoft.com.", "azureprivatedns.net. azureprivatedns-host.microsoft.com."))
	text, err := os.ReadFile("Corefile")
	if err != nil {
		t.Fatal(err)
	}
	sites := strings.NewReplacer("upstream azure", "upstream test "+test+"\n        upstream production", "catalog azure", "catalog production test", "route . azure", "route . production")
	if err := os.WriteFile("Corefile", []byte(sites.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, _ := diagnose(t, aMachine(t, "8388608", "8388608"), false)
	unwrapped := strings.Join(strings.Fields(printed), " ")
	for _, want := range []string{
		"ok privatelink.database.windows.net: production and test see it: one zone, or one for each; explain NAME tells what each says",
		"ok privatelink.azurewebsites.net: only test sees it",
	} {
		if !strings.Contains(unwrapped, want) {
			t.Errorf("doctor printed\n%s\nwithout %q", printed, want)
		}
	}
}

func TestDoctorHelp(t *testing.T) { runGolden(t, "doctor-help.golden", "doctor", "--help") }

func TestDoctorLooksAtTheClock(t *testing.T) {
	inSite(t, smallCloud(t))
	wrong := aMachine(t, "8388608", "8388608")
	wrong.now = func() time.Time { return time.Unix(0, 0) }
	loose := aMachine(t, "8388608", "8388608")
	loose.clock = func() (bool, bool) { return false, true }
	for _, tc := range []struct {
		name    string
		machine doctorMachine
		want    string
	}{
		{"wrong", wrong, "machine, clock: it says 1970-01-01T00:00:00Z\n"},
		{"kept by nobody", loose, "machine, clock: the kernel knows of nobody who keeps it\n"},
	} {
		if printed, code := diagnose(t, tc.machine, false); code != codeFound || !strings.HasSuffix(printed, tc.want) {
			t.Errorf("%s: doctor ends with %d and\n%s\nwant %q last", tc.name, code, printed, tc.want)
		}
	}
}

func TestDoctorFindsThePortTaken(t *testing.T) {
	taken := smallCloud(t) // it serves, and is no server of ours
	t.Chdir(t.TempDir())
	_, port, _ := strings.Cut(taken, ":")
	text := ".:" + port + " {\n bind 127.0.0.1\n privatelink {\n upstream azure " + smallCloud(t) + "\n route . azure\n state state\n }\n}\n"
	if err := os.WriteFile("Corefile", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, _ := diagnose(t, aMachine(t, "8388608", "8388608"), false)
	if !strings.HasSuffix(printed, "ports, udp 127.0.0.1:5353: in use by another process\n") {
		t.Errorf("doctor says\n%s\nwant the port named last", printed)
	}
}

// TestDoctorWhoMayNotAsk: to stop "another process" would be to stop this server.
func TestDoctorWhoMayNotAsk(t *testing.T) {
	taken := smallCloud(t)
	c := &checkup{forbidden: true}
	c.examinePort("udp", taken)
	if len(c.findings) != 1 || c.findings[0].Severity != skipped || c.findings[0].Text != "in use, perhaps by this server" || !strings.Contains(c.findings[0].Next, "sudo") {
		t.Errorf("doctor says %+v, want that the port may be this server's", c.findings)
	}
}

func TestDoctorExplainsNames(t *testing.T) {
	inSite(t, smallCloud(t))
	printed, code := diagnose(t, aMachine(t, "212992", "229376"), false, "app1.azurewebsites.net", "db1.database.windows.net")
	for _, want := range []string{
		"\nnames\n  FAULT app1.azurewebsites.net: the chain enters privatelink.azurewebsites.net\n",
		"  ok    db1.database.windows.net: all is well: the answer is private, 10.0.2.4\n",
		"next: privatelink-dns explain app1.azurewebsites.net shows every step\n",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("doctor says\n%s\nwant %q in it", printed, want)
		}
	}
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	if last := lines[len(lines)-1]; code != codeFound || !strings.HasPrefix(last, "names, app1.azurewebsites.net: the chain enters") {
		t.Errorf("doctor ends with %d and %q, want what is wrong with app1", code, last)
	}
	if got := run(t, "doctor", "two words"); got.code != codeFailed || !strings.Contains(got.err, `found name "two words"`) {
		t.Errorf("doctor of no name = %+v, want code 1", got)
	}
}

// A private endpoint has a certificate for the public name, and not for any other.
func TestDoctorLooksAtCertificates(t *testing.T) {
	endpoint := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is for example.com
	defer endpoint.Close()
	host, port, err := net.SplitHostPort(endpoint.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, port string
		severity   privatelink.Severity
		want       string
	}{
		{"example.com", port, privatelink.Fine, "carries the name"},
		{"db1.privatelink.database.windows.net", port, privatelink.Warning, "is for another name: x509: certificate is valid for example.com"},
		{"example.com", "0", skipped, "no certificate to be had"},
	} {
		c := &checkup{options: &doctorOptions{certificates: true, machine: doctorMachine{tlsPort: tc.port}}}
		c.explained = []*privatelink.Explanation{{Name: tc.name + ".", Told: privatelink.ExplainedAnswer{Chain: []privatelink.ExplainedRecord{{Type: "A", Data: host, Private: true}}}}}
		c.examineCertificates(t.Context())
		if len(c.findings) != 1 || c.findings[0].Severity != tc.severity || !strings.Contains(c.findings[0].Text, tc.want) {
			t.Errorf("the certificate of %s, port %s: %+v, want %s and %q", tc.name, tc.port, c.findings, tc.severity, tc.want)
		}
	}
}

// With --all there are 80 zones: each has a line, or a few have one for all.
func TestDoctorListsManyZones(t *testing.T) {
	zone := func(index int) string { return fmt.Sprintf("privatelink.z%02d.example", index) }
	var links []privatelink.ZoneLink
	for index := range 80 {
		link := privatelink.NotLinked
		if index%8 == 0 {
			link = privatelink.Linked
		}
		links = append(links, privatelink.ZoneLink{Group: "azure", Zone: zone(index), Link: link})
	}
	c := &checkup{}
	c.tellLinks("azure", links)
	var out strings.Builder
	c.print(&out, paint{})
	want := "zones\n  ok    azure: 10 zones linked\n"
	for index := 0; index < 80; index += 8 {
		want += "            " + zone(index) + "\n"
	}
	want += "  ok    azure: 70 zones not linked, which is right where there is no private\n          endpoint\n"
	for index := 1; index < 6; index++ {
		want += "            " + zone(index) + "\n"
	}
	want += "            and 65 more; --json has all\n\nall is well\n"
	if out.String() != want {
		t.Errorf("doctor printed\n%s\nwant\n%s", out.String(), want)
	}
	if got := len(c.findings[1].Zones); got != 70 {
		t.Errorf("the finding for --json has %d zones, want 70", got)
	}
	few := &checkup{}
	few.tellLinks("azure", links[:4])
	if got := few.findings[1].Text; !strings.HasSuffix(got, "endpoint: privatelink.z01.example, privatelink.z02.example, privatelink.z03.example") {
		t.Errorf("of few zones doctor says %q, want them in the sentence", got)
	}
}

// Sentences are as wide as the terminal, as far as one reads such lines with ease.
func TestSentencesFillTheTerminal(t *testing.T) {
	text := strings.Repeat("word ", 60)
	for columns, want := range map[string]int{"": 78, "100": 98, "200": 118, "20": 38} {
		t.Setenv("COLUMNS", columns)
		var out strings.Builder
		(&checkup{findings: []finding{{Check: "zones", Severity: privatelink.Fine, Text: text}}}).print(&out, paint{})
		longest := 0
		for line := range strings.Lines(out.String()) {
			if line != "all is well\n" {
				longest = max(longest, len(line)-1)
			}
		}
		// Words of five columns fill all but a few.
		if longest > want+2 || longest < want-4 {
			t.Errorf("COLUMNS=%q: the longest line has %d columns, want about %d", columns, longest, want)
		}
	}
}

func TestDoctorShowsItsProgressAndColours(t *testing.T) {
	var out strings.Builder
	progress := &progressLine{out: &out}
	progress.show(5, 10, "zones")
	progress.within("zones, 3 of 8")
	progress.clear()
	if want := "\r\x1b[K[==========          ] zones\r\x1b[K[==========          ] zones, 3 of 8\r\x1b[K"; out.String() != want {
		t.Errorf("the progress is shown as %q, want %q", out.String(), want)
	}
	out.Reset()
	c := &checkup{findings: []finding{{Check: "upstreams", Severity: privatelink.Fault, Text: "silent"}, {Check: "zones", Severity: privatelink.Warning, Text: "none"}, {Check: "machine", Severity: privatelink.Fine, Text: "kept"}}}
	c.print(&out, paint{on: true})
	for _, want := range []string{"\x1b[31mFAULT\x1b[0m silent", "\x1b[33mlook \x1b[0m none", "\x1b[32mok   \x1b[0m kept", "\x1b[31mupstreams, silent\x1b[0m\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("doctor prints %q in colour, want %q in it", out.String(), want)
		}
	}
}
