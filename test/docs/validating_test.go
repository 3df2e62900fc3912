package docs

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// privateAnswers are what we would say to Unbound: chains into zones that nobody signs.
const privateAnswers = `
db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.
db1.privatelink.database.windows.net. 10 IN A 10.0.2.4
v1.vault.azure.net. 60 IN CNAME v1.privatelink.vaultcore.azure.net.
v1.privatelink.vaultcore.azure.net. 10 IN A 10.0.2.5
`

// A validating Unbound with the README's snippet tells private addresses, though net. is
// signed and it cannot learn that these zones are not. Without domain-insecure it does not.
func TestAValidatingUnboundTellsPrivateAddresses(t *testing.T) {
	needTools(t, "unbound")
	snippets := ofLanguage(blocks(t, "README.md"), "unbound")
	if len(snippets) != 1 {
		t.Fatalf("README.md has %d configurations for Unbound, want one", len(snippets))
	}
	forwarder := unsigned(t)
	snippet := strings.ReplaceAll(snippets[0].text, "10.1.0.4", strings.Replace(forwarder, ":", "@", 1))
	insecure := regexp.MustCompile(`(?m)^ *domain-insecure:.*\n`)
	for _, tc := range []struct {
		name, snippet string
		want          map[string]string
	}{
		{"as it is", snippet, map[string]string{"db1.database.windows.net.": "10.0.2.4", "v1.vault.azure.net.": "10.0.2.5"}},
		{"without domain-insecure", insecure.ReplaceAllString(snippet, ""), map[string]string{"db1.database.windows.net.": "SERVFAIL", "v1.vault.azure.net.": "SERVFAIL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := startUnbound(t, forwarder, tc.snippet)
			for name, want := range tc.want {
				if got := addressAt(t, server, name); got != want {
					t.Errorf("%s = %s, want %s", name, got, want)
				}
			}
		})
	}
}

// unsigned serves privateAnswers, and NODATA for all else, DNSKEY and DS among it.
func unsigned(t *testing.T) string {
	t.Helper()
	records := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(privateAnswers), ".", "")
	for record, more := parser.Next(); more; record, more = parser.Next() {
		records[record.Header().Name] = append(records[record.Header().Name], record)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg).SetReply(request)
		name := dns.CanonicalName(request.Question[0].Name)
		for request.Question[0].Qtype == dns.TypeA && len(records[name]) > 0 {
			reply.Answer = append(reply.Answer, records[name]...)
			alias, chained := records[name][0].(*dns.CNAME)
			if !chained {
				break
			}
			name = alias.Target
		}
		_ = w.WriteMsg(reply)
	})}
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return socket.LocalAddr().String()
}

// startUnbound starts an Unbound that trusts a key of net. which nobody has.
func startUnbound(t *testing.T, everythingElse, snippet string) string {
	t.Helper()
	directory, port := t.TempDir(), freePort(t)
	options := fmt.Sprintf(`server:
    interface: 127.0.0.1@%d
    do-not-query-localhost: no
    private-address: 10.0.0.0/8
    trust-anchor: "net. DS 1 8 2 %s"
    do-ip6: no
    do-daemonize: no
    use-syslog: no
    logfile: ""
    verbosity: 1
    chroot: ""
    username: ""
    directory: "%s"
    pidfile: ""
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: %s
`, port, strings.Repeat("0123456789abcdef", 4), directory, strings.Replace(everythingElse, ":", "@", 1))
	path := filepath.Join(directory, "unbound.conf")
	if err := os.WriteFile(path, []byte(options+snippet), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("unbound", "-d", "-c", path)
	said, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Signal(syscall.SIGTERM); _ = command.Wait() })
	var lines []string
	for scanner := bufio.NewScanner(said); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if strings.Contains(scanner.Text(), "start of service") {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	t.Fatalf("Unbound did not start:\n%s", strings.Join(lines, "\n"))
	return ""
}

// addressAt is the last address that a server says a name has, or the rcode.
func addressAt(t *testing.T, server, name string) string {
	t.Helper()
	reply, err := dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), server)
	if err != nil {
		t.Fatal(err)
	}
	if len(reply.Answer) > 0 {
		if address, is := reply.Answer[len(reply.Answer)-1].(*dns.A); is {
			return address.A.String()
		}
	}
	return dns.RcodeToString[reply.Rcode]
}
