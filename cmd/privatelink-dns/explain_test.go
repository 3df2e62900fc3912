package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// zoneText are the records of a small cloud: db1 has a private endpoint in a zone that
// is linked, app1 one in a zone that is not, and microsoft.com a long TXT record.
const zoneText = `
db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.
db1.privatelink.database.windows.net. 10 IN A 10.0.2.4
app1.azurewebsites.net. 60 IN CNAME app1.privatelink.azurewebsites.net.
app1.privatelink.azurewebsites.net. 60 IN CNAME waws-prod-bl5-001.sip.azurewebsites.windows.net.
waws-prod-bl5-001.sip.azurewebsites.windows.net. 60 IN A 203.0.113.40
privatelink.database.windows.net. 10 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10
privatelink.azurewebsites.net. 10 IN SOA ns1-01.azure-dns.com. msnhst.microsoft.com. 1 3600 300 2419200 10
. 10 IN SOA ns.example. admin.example. 1 3600 300 2419200 10
`

// smallCloud serves zoneText on loopback, over UDP and TCP, until the end of the test.
func smallCloud(t *testing.T) string {
	t.Helper()
	return cloudOf(t, zoneText)
}

// cloudOf serves records likewise.
func cloudOf(t *testing.T, text string) string {
	t.Helper()
	known := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(text+"microsoft.com. 60 IN TXT "+strings.Repeat(strings.Repeat("v", 99)+" ", 8)+"\n"), ".", "")
	for record, ok := parser.Next(); ok; record, ok = parser.Next() {
		known[record.Header().Name] = append(known[record.Header().Name], record)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(request)
		reply.SetEdns0(1232, false)
		name := dns.CanonicalName(request.Question[0].Name)
		for records := known[name]; len(records) > 0; records = known[name] {
			reply.Answer = append(reply.Answer, ofType(records, request.Question[0].Qtype)...)
			alias, isAlias := records[0].(*dns.CNAME)
			if !isAlias {
				break
			}
			name = alias.Target
		}
		if len(reply.Answer) == 0 {
			reply.Ns = known["."]
		}
		if strings.HasPrefix(name, "nosuch.") {
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply)
	})
	socket, listener := listenBoth(t)
	for _, server := range []*dns.Server{{PacketConn: socket, Handler: handler}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() { _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return socket.LocalAddr().String()
}

// listenBoth opens a port that is free for UDP and for TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", socket.LocalAddr().String())
		if err == nil {
			return socket, listener
		}
		_ = socket.Close()
	}
	t.Fatal("found no port that is free for UDP and TCP")
	return nil, nil
}

func ofType(records []dns.RR, qtype uint16) []dns.RR {
	var found []dns.RR
	for _, record := range records {
		if rtype := record.Header().Rrtype; rtype == qtype || rtype == dns.TypeCNAME {
			found = append(found, record)
		}
	}
	return found
}

// inSite changes into a directory with a Corefile for an upstream.
func inSite(t *testing.T, upstream string) {
	t.Helper()
	t.Chdir(t.TempDir())
	text := fmt.Sprintf(".:%d {\n    bind 127.0.0.1\n    privatelink {\n        upstream azure %s\n        route catalog azure\n        route . azure\n        clients stub 10.20.0.0/16 answers=flattened\n        state state\n    }\n}\n", freePort(t), upstream)
	if err := os.WriteFile("Corefile", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// varying is what differs from run to run: ports, times, limits.
var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:5353"},
	{regexp.MustCompile(`in \d+\.\d+ ms`), "in 0.2 ms"},
	{regexp.MustCompile(`"rtt_seconds": [0-9.e-]+`), `"rtt_seconds": 0.0002`},
	{regexp.MustCompile(`"at": "[^"]+"`), `"at": "2026-11-22T08:00:00Z"`},
	{regexp.MustCompile(`open files: \d+`), "open files: 65536"},
}

func steady(output string) string {
	for _, each := range varying {
		output = each.pattern.ReplaceAllString(output, each.instead)
	}
	return output
}

func TestExplainPrints(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	inSite(t, smallCloud(t))
	tests := []struct {
		file, arguments string
		wantCode        int
	}{
		{"explain-private.golden", "db1.database.windows.net", 0},
		{"explain-flattened.golden", "DB1.database.windows.net. --client 10.20.0.9", 0},
		{"explain-unlinked.golden", "app1.azurewebsites.net", codeFound},
		{"explain-no-resource.golden", "nosuch.database.windows.net", codeFound},
		{"explain-direct.golden", "db1.privatelink.database.windows.net --client 10.20.0.9", codeFound},
		{"explain-json.golden", "app1.azurewebsites.net --json", codeFound},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			got := run(t, append([]string{"explain", "-c", "Corefile"}, strings.Fields(tc.arguments)...)...)
			if got.code != tc.wantCode {
				t.Errorf("explain %s = %+v, want code %d", tc.arguments, got, tc.wantCode)
			}
			printed := steady(got.out)
			for line := range strings.Lines(printed[:strings.LastIndex(strings.TrimSpace(printed), "\n")+1]) {
				if len(strings.TrimSuffix(line, "\n")) > logreport.MinWidth && !strings.HasSuffix(tc.file, "json.golden") {
					t.Errorf("a line of %d columns, want %d at most: %q", len(line)-1, logreport.MinWidth, line)
				}
			}
			t.Chdir(filepath.Dir(testdata))
			golden(t, tc.file, printed)
		})
	}
}

func TestExplainHelp(t *testing.T) { runGolden(t, "explain-help.golden", "explain", "--help") }

func TestExplainSaysWhatToDo(t *testing.T) {
	inSite(t, "127.0.0.1:9")
	for _, tc := range []struct{ name, arguments, want string }{
		{"no server", "db1.example --state nowhere", "is it running, with \"state nowhere\""},
		{"no name", "-c Corefile", `found no argument, expected "privatelink-dns explain NAME [TYPE]"; --help has examples`},
		{"two types beside the name", "db1.example A AAAA -c Corefile", `found "db1.example A AAAA", expected "privatelink-dns explain NAME [TYPE]"`},
		{"a type that is none", "db1.example ADDRESS -c Corefile", `found type "ADDRESS"`},
		{"a URL", "https://db1.example/x -c Corefile", `found name "https://db1.example/x", expected a domain name`},
		{"an address", "10.0.2.4 -c Corefile", `found address "10.0.2.4", expected a domain name; who has it is told by 4.2.0.10.in-addr.arpa. --type PTR`},
		{"a client that is none", "db1.example -c Corefile --client host9", `--client: found "host9", expected an IP address`},
		{"a server that is none", "db1.example -c Corefile --server host9", `--server: found "host9"`},
		{"a type that is none", "db1.example -c Corefile -t ADDRESS", `found type "ADDRESS"`},
		{"a stanza that is none", "db1.example -c Corefile --stanza Corefile:99", `--stanza: found "Corefile:99", expected one of Corefile:3`},
		{"no Corefile", "db1.example -c Corefil", "Corefil: no such file; name the Corefile with -c FILE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, append([]string{"explain"}, strings.Fields(tc.arguments)...)...)
			if got.code != codeFailed || !strings.Contains(got.err, tc.want) {
				t.Errorf("explain %s = %+v, want code 1 and %q", tc.arguments, got, tc.want)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  []string
	}{
		{"one two three", 80, []string{"one two three"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"a " + strings.Repeat("x", 20) + " b", 10, []string{"a", strings.Repeat("x", 20), "b"}},
		{"", 10, []string{""}},
	} {
		if got := wrap(tc.text, tc.width); strings.Join(got, "|") != strings.Join(tc.want, "|") {
			t.Errorf("wrap(%q, %d) = %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}
