package azuresim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind" // the server's listeners
	"github.com/miekg/dns"
)

func TestMain(m *testing.M) {
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := dnsserver.SetDirectives([]string{"bind", "azuresim"}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// start starts a server and returns its addresses.
func start(t *testing.T, corefile string) (udp, tcp string) {
	t.Helper()
	server, err := caddy.Start(caddy.CaddyfileInput{
		Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns",
	})
	if err != nil {
		t.Fatalf("caddy.Start() = %v", err)
	}
	t.Cleanup(func() {
		server.ShutdownCallbacks()
		if err := server.Stop(); err != nil {
			t.Errorf("Stop() = %v, want nil", err)
		}
	})
	return server.Servers()[0].LocalAddr().String(), server.Servers()[0].Addr().String()
}

// A whole server on real sockets: truncation, TCP and sizes as a client sees
// them.
func TestServer(t *testing.T) {
	udp, tcp := start(t, ".:0 {\n bind 127.0.0.1\n azuresim\n}")
	srv := query("_ldap._tcp.dc._msdcs.corp.example.", dns.TypeSRV).SetEdns0(1232, false)
	for _, tc := range []struct {
		name, network, address string
		question               *dns.Msg
		rcode, answers         int
		truncated              bool
		announced              uint16
	}{
		{"large over UDP", "udp", udp, srv, dns.RcodeSuccess, 31, true, payload},
		{"large over TCP", "tcp", tcp, srv, dns.RcodeSuccess, 48, false, payload},
		{"spelling", "udp", udp, query("db1.DATABASE.windows.net.", dns.TypeA), dns.RcodeSuccess, 2, false, 0},
		{"unknown name", "udp", udp, query("nobody.example.org.", dns.TypeA).SetEdns0(4096, true), dns.RcodeNameError, 0, false, payload},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := &dns.Client{Net: tc.network, Timeout: 10 * time.Second}
			m, _, err := client.Exchange(tc.question, tc.address)
			if err != nil {
				t.Fatalf("Exchange() = %v", err)
			}
			if m.Rcode != tc.rcode || len(m.Answer) != tc.answers || m.Truncated != tc.truncated {
				t.Errorf("Exchange() = %s, %d records, TC %v, want %s, %d, %v", dns.RcodeToString[m.Rcode],
					len(m.Answer), m.Truncated, dns.RcodeToString[tc.rcode], tc.answers, tc.truncated)
			}
			if m.Question[0] != tc.question.Question[0] {
				t.Errorf("Exchange() question = %v, want %v", m.Question[0], tc.question.Question[0])
			}
			if got := announces(m); got != tc.announced {
				t.Errorf("Exchange() announces %d, want %d", got, tc.announced)
			}
		})
	}
	want := `"received=4" "answered=4" "servfail=0" "dropped_rate=0" "dropped_outstanding=0" "lost=0" "ignored=0" `
	if got := figures(t, udp); !strings.HasPrefix(got, want) {
		t.Errorf("stats = %s, want %s", got, want)
	}
}

// Silence must be silence on the wire: CoreDNS writes no answer of its own.
func TestServerSilence(t *testing.T) {
	udp, _ := start(t, ".:0 {\n bind 127.0.0.1\n azuresim {\n dead\n }\n}")
	silent := &dns.Client{Timeout: 100 * time.Millisecond}
	if m, _, err := silent.Exchange(query("www.example.org.", dns.TypeA), udp); err == nil {
		t.Errorf("Exchange() with a dead server = %v, want no answer", m)
	}
	if got, want := figures(t, udp), `"received=1" "answered=0" `; !strings.HasPrefix(got, want) {
		t.Errorf("stats = %s, want %s", got, want)
	}
}

// figures reads the counters over UDP, as zone-file text.
func figures(t *testing.T, address string) string {
	t.Helper()
	client := &dns.Client{Timeout: 10 * time.Second}
	m, _, err := client.Exchange(query(statsName, dns.TypeTXT), address)
	if err != nil || len(m.Answer) != 1 {
		t.Fatalf("Exchange(%q) = %v, %v, want one record", statsName, m, err)
	}
	return strings.TrimPrefix(m.Answer[0].String(), m.Answer[0].Header().String())
}

// A plugin's README has these sections, in this order.
func TestReadmeSections(t *testing.T) {
	readme := readme(t)
	at := 0
	for _, section := range []string{"# azuresim", "## Name", "## Description", "## Syntax", "## Examples"} {
		found := strings.Index(readme[at:], section+"\n")
		if found < 0 {
			t.Fatalf("README.md has no section %q where it is expected", section)
		}
		at += found
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every example of the README must work: the worlds load, the Corefiles parse.
func TestReadmeExamples(t *testing.T) {
	directory := t.TempDir()
	for _, text := range blocks(readme(t), "yaml") {
		if _, err := ParseWorld("README.md", []byte(text)); err != nil {
			t.Errorf("ParseWorld() of a README example = %v", err)
		}
		if err := os.WriteFile(filepath.Join(directory, "lab.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	corefiles := blocks(readme(t), "corefile")
	if len(corefiles) < 3 {
		t.Errorf("README.md has %d Corefiles, want 3 or more", len(corefiles))
	}
	for _, text := range corefiles {
		servers, err := caddyfile.Parse(filepath.Join(directory, "Corefile"), strings.NewReader(text), nil)
		if err != nil {
			t.Errorf("parsing a README example: %v", err)
		}
		for _, server := range servers {
			d := caddyfile.NewDispenserTokens(filepath.Join(directory, "Corefile"), server.Tokens["azuresim"])
			if s, err := parse(&d); err != nil || s.world == nil {
				t.Errorf("parse(%s) = %v, %v, want a simulator", text, s, err)
			}
		}
	}
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for {
		_, rest, ok := strings.Cut(text, "~~~ "+language+"\n")
		if !ok {
			return found
		}
		block, rest, _ := strings.Cut(rest, "~~~\n")
		found = append(found, block)
		text = rest
	}
}
