package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// shortLog is a log of two minutes: answers, a direct lookup, an unlinked zone.
func shortLog() string {
	var log strings.Builder
	write := func(second int, fields string) {
		fmt.Fprintf(&log, `{"time":"2026-03-01T03:%02d:%02d.000000Z","schema":1,"client_ip":"10.20.0.7","client_port":53124,%s}`+"\n", second/60, second%60, fields)
	}
	for second := range 110 {
		write(second, `"qname":"db1.database.windows.net.","qtype":"A","rcode":"NOERROR","verdict":"private","namespace":"database.windows.net","policy_rule":"none","policy_action":"allow","cache":"hit","duration_seconds":0.000009`)
	}
	write(110, `"qname":"v1.privatelink.vaultcore.azure.net.","qtype":"A","rcode":"REFUSED","direct":true,"policy_rule":"direct-lookup","policy_action":"refuse","duration_seconds":0.000004`)
	write(111, `"qname":"v1.vault.azure.net.","qtype":"A","rcode":"NOERROR","verdict":"unlinked","namespace":"vault.azure.net","privatelink_zone":"privatelink.vaultcore.azure.net","policy_rule":"none","policy_action":"allow",`+
		`"cache":"miss","route":"catalog","group":"azure","upstream":"168.63.129.16:53","upstream_transport":"udp","upstream_duration_seconds":0.003200,"duration_seconds":0.003300`)
	return log.String()
}

func TestReport(t *testing.T) {
	path := inDirectory(t, "query.log", shortLog())
	for _, tc := range []struct {
		file      string
		arguments []string
		wantCode  int
	}{
		{"report.golden", []string{path}, codeFound},
		{"report-client.golden", []string{path, "--namespace", "vault.azure.net", "--client", "10.20.0.0/16", "--since", "2026-03-01 03:01"}, codeFound},
		{"report-well.golden", []string{path, "--namespace", "database.windows.net"}, 0},
		{"report-help.golden", []string{"--help"}, 0},
	} {
		got := run(t, append([]string{"report"}, tc.arguments...)...)
		if got.code != tc.wantCode || tc.wantCode == 0 && got.err != "" {
			t.Errorf("report %q ended with %d and wrote %q, want %d", tc.arguments, got.code, got.err, tc.wantCode)
		}
		golden(t, tc.file, got.out)
	}
}

func TestReportAsJSONFromStandardInput(t *testing.T) {
	var packed, out bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write([]byte(shortLog())); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	root := newRootCommand()
	root.SetArgs([]string{"report", "--json", "-"})
	root.SetIn(&packed)
	root.SetOut(&out)
	if err := root.Execute(); err != nil && exitCode(err) != codeFound {
		t.Fatal(err)
	}
	var report logreport.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if report.Queries != 112 || len(report.DirectClients) != 1 || report.DirectClients[0].Names[0].Use != "v1.vault.azure.net" {
		t.Errorf("report --json - = %+v, want 112 queries and the public name of the direct lookup", report)
	}
}

func TestReportAsPage(t *testing.T) {
	path := inDirectory(t, "query.log", shortLog())
	page := filepath.Join(t.TempDir(), "report.html")
	if got := run(t, "report", path, "--html", page); got.code != codeFound || got.out != "" {
		t.Fatalf("report --html = %+v, want code 2 and no output", got)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, "report", path, "--html", "-"); got.out != string(written) || !strings.Contains(got.out, "ask for <code>v1.vault.azure.net</code>") {
		t.Errorf("report --html - wrote %d bytes, want the %d of the file, with the public name", len(got.out), len(written))
	}
}

func TestReportSaysWhatToDo(t *testing.T) {
	path := inDirectory(t, "query.log", shortLog())
	for _, tc := range []struct {
		name      string
		arguments []string
		want      string
	}{
		{"no file", nil, `found no argument, expected "privatelink-dns report FILE..."`},
		{"an unknown time", []string{path, "--since", "yesterday"}, `--since: found "yesterday", expected a time such as 2026-03-01T12:00:00Z or how long ago`},
		{"an unknown client", []string{path, "--client", "hub"}, `--client: found "hub", expected an address or a network`},
		{"no rows", []string{path, "--top", "0"}, "--top: found 0, expected 1 to 1000"},
		{"two forms", []string{path, "--json", "--html", "x"}, "none of the others can be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := run(t, append([]string{"report"}, tc.arguments...)...); got.code != 1 || got.out != "" || !strings.Contains(got.err, tc.want) {
				t.Errorf("report %q = %+v, want code 1, no output and %q", tc.arguments, got, tc.want)
			}
		})
	}
	if got := run(t, "report", inDirectory(t, "words.log", "no record\nnor this\n")); got.code != 1 || !strings.Contains(got.err, "found no record in 2 lines, expected the JSON that querylog writes") {
		t.Errorf("report of a file that is no log = %+v, want code 1 and an error", got)
	}
	// What can be read is reported, and what cannot ends the command with an error.
	got := run(t, "report", "/nonexistent/query.log", path)
	if got.code != 1 || !strings.Contains(got.out, "112 queries in 1 min 51 s") || !strings.Contains(got.err, "/nonexistent/query.log: no such file or directory") {
		t.Errorf("report of a missing file and another = %+v, want the report and code 1", got)
	}
}

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for written, want := range map[string]time.Time{
		"":                          {},
		"90m":                       now.Add(-90 * time.Minute),
		"3d":                        now.Add(-72 * time.Hour),
		"2026-03-01T13:00:00+01:00": now,
		"2026-03-01 12:00":          now,
		"2026-03-01":                now.Add(-12 * time.Hour),
	} {
		if got, err := parseMoment("--since", written, now); err != nil || !got.Equal(want) {
			t.Errorf("parseMoment(%q) = %v, %v, want %v", written, got, err, want)
		}
	}
}

func TestProgressBar(t *testing.T) {
	p := newProgress(&bytes.Buffer{})
	if p.shown {
		t.Error("the progress is shown to what is no terminal")
	}
	p.size = 2e9
	p.read.Store(5e8)
	if got, want := p.bar(2*time.Second), "[=======                       ] 25 %, 500 of 2000 MB, 6s left"; got != want {
		t.Errorf("bar() = %q, want %q", got, want)
	}
	p.size = 0
	if got, want := p.bar(2*time.Second), "500 MB read, 250 MB/s"; got != want {
		t.Errorf("bar() of standard input = %q, want %q", got, want)
	}
}
