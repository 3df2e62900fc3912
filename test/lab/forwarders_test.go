//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// generated returns the conditional forwarders that our program writes for a
// server, for the whole catalog unless the arguments say otherwise.
func generated(t *testing.T, format string, arguments ...string) string {
	t.Helper()
	path, err := product()
	if err != nil {
		t.Fatal(err)
	}
	if len(arguments) == 0 {
		arguments = []string{"--all"}
	}
	written, err := exec.Command(path, append([]string{"forwarders", "--format", format, "--target", hubDNS}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("privatelink-dns forwarders --format %s: %v", format, err)
	}
	return string(written)
}

// forwardersProduct is a server that loads the forwarders we generate for it.
type forwardersProduct struct {
	format, program string
	start           func(h *Host, forwarders string)
}

// forwardersProducts are the servers that a Debian system has, and CoreDNS,
// which is in our own program. Where a server protects against rebinding, that
// is on: the generated file has to let the private addresses through. (dnsmasq
// takes the addresses for documentation, as example.org has one, for private.)
// None validates: nothing here is signed, not even the root.
var forwardersProducts = []forwardersProduct{
	{"bind", "named", func(h *Host, forwarders string) {
		options := fmt.Sprintf(namedOptions, h.directory, "recursion yes; allow-recursion { any; }; forward only; forwarders { "+internetDNS+"; };")
		h.named(options + fmt.Sprintf("include %q;\n", forwarders))
	}},
	{"unbound", "unbound", func(h *Host, forwarders string) {
		config := h.write("unbound.conf", unboundOptions+"include: %q\n", h.directory, internetDNS, forwarders)
		h.Start("Unbound", "start of service", "unbound", "-d", "-v", "-c", config)
	}},
	{"dnsmasq", "dnsmasq", func(h *Host, forwarders string) {
		config := h.write("dnsmasq.conf", "no-daemon\nlog-facility=-\nno-resolv\nno-hosts\nstop-dns-rebind\nrebind-domain-ok=/example.org/\nserver=%s\nconf-file=%s\n", internetDNS, forwarders)
		h.Start("dnsmasq", "started, version", "dnsmasq", "-C", config)
	}},
	{"coredns", "", func(h *Host, forwarders string) {
		h.startProduct("CoreDNS", h.write("Corefile", "import %s\n.:53 {\n    forward . %s\n}\n", forwarders, internetDNS))
	}},
	{"powerdns", "pdns_recursor", func(h *Host, forwarders string) {
		h.write("recursor.conf", "daemon=no\ndnssec=off\nlocal-address=0.0.0.0\nallow-from=0.0.0.0/0\nsocket-dir=%s\nsetuid=\nsetgid=\nforward-zones-file=%s\nforward-zones-recurse=.=%s\n", h.directory, forwarders, internetDNS)
		h.Start("PowerDNS Recursor", "Listening for", "pdns_recursor", "--config-dir="+h.directory)
	}},
	{"knot", "kresd", func(h *Host, forwarders string) {
		config := h.write("kresd.conf", "net.listen('%s', 53)\nmodules = {'policy'}\ncache.open(10 * MB)\ntrust_anchors.remove('.')\ndofile('%s')\npolicy.add(policy.all(policy.STUB('%s')))\nprint('serving')\n", h.Address(), forwarders, internetDNS)
		h.Start("Knot Resolver", "serving", "kresd", "-n", "-c", config, h.directory)
	}},
}

// unboundOptions has the directory and the default server left open.
const unboundOptions = `server:
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    private-address: 10.0.0.0/8
    do-ip6: no
    do-daemonize: no
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "%s"
    pidfile: ""
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: %s
`

// TestGeneratedForwarders is scenario 4a with the configurations that we write:
// a machine on premises asks the company's DNS server, which asks us.
func TestGeneratedForwarders(t *testing.T) {
	t.Parallel()
	for number, company := range forwardersProducts {
		t.Run(company.format, func(t *testing.T) {
			if company.program != "" {
				needTool(t, company.program)
			}
			l := New(t)
			us := startHub(l, "clients resolver 10.30.0.0/24")
			client := l.Host("on premises", "10.30.0.50")
			host := l.Host(company.format, fmt.Sprintf("10.30.0.%d", 4+number))
			company.start(host, host.write("privatelink.conf", "%s", generated(t, company.format)))

			for _, name := range []string{sqlName, vaultName} {
				digAddress(t, client, host.Address(), name, map[string]string{sqlName: "10.0.2.4", vaultName: "10.0.2.5"}[name])
				logged(t, us, func(record LogRecord) bool { return record.Name == name+"." && record.Verdict == "private" })
			}
			digAddress(t, client, host.Address(), "web1.database.windows.net", "203.0.113.10")
			digAddress(t, client, host.Address(), "www.example.org", "198.51.100.80")
		})
	}
}

// TestCheckersAcceptGeneratedForwarders asks the servers' own checkers, which
// need no network, of the whole catalog of every cloud.
func TestCheckersAcceptGeneratedForwarders(t *testing.T) {
	t.Parallel()
	for _, cloud := range []string{"azure", "azure-usgov", "azure-china"} {
		for _, checker := range []struct {
			format, tool string
			arguments    []string
		}{
			{"bind", "named-checkconf", nil},
			{"unbound", "unbound-checkconf", nil},
			{"dnsmasq", "dnsmasq", []string{"--test", "-C"}},
		} {
			t.Run(checker.format+" "+cloud, func(t *testing.T) {
				tool := needTool(t, checker.tool)
				text := generated(t, checker.format, "--all", "--catalog", cloud)
				if checker.format == "unbound" {
					text = strings.ReplaceAll(fmt.Sprintf(unboundOptions, t.TempDir(), internetDNS), "0.0.0.0\n", "127.0.0.1\n") + text
				}
				path := filepath.Join(t.TempDir(), "privatelink.conf")
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				if said, err := exec.Command(tool, append(checker.arguments, path)...).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", checker.tool, err, said)
				}
			})
		}
	}
}
