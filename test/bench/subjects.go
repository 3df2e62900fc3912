//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// place is where a server runs: its own directory, its addresses, its upstream.
type place struct {
	program   string // our binary
	directory string
	address   netip.AddrPort
	metrics   netip.AddrPort // a free port for a server that exports metrics
	profiles  netip.AddrPort // a free port for Go's profiles; invalid for none
	upstream  netip.AddrPort
	protected bool // our server has every protection on
}

// write writes a file into the place's directory and returns its path.
func (p *place) write(name, text string) (string, error) {
	path := filepath.Join(p.directory, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// subject is a server in one configuration.
type subject struct {
	name string
	// needs is the program that must be installed; empty for our own.
	needs string
	// configure writes what the server reads, and returns its command line.
	configure func(*place) ([]string, error)
}

// The subjects' names, which the ratios refer to.
const (
	floorName       = "floor"
	oursName        = "privatelink-dns"
	oursFullName    = "privatelink-dns, full duty"
	coreDNSName     = "CoreDNS"
	coreDNSFullName = "CoreDNS, log + prometheus"
	dnsdistName     = "dnsdist"
	dnsdistFullName = "dnsdist, log"
	unboundName     = "Unbound"
	unboundFullName = "Unbound, log"
	dnsmasqName     = "dnsmasq"
	dnsmasqFullName = "dnsmasq, log"
)

// kept is how many answers every server may keep, where that can be said.
const kept = 200_000

var (
	bare        = subject{floorName, "", configureFloor}
	ours        = subject{oursName, "", configureOurs(false, 0)}
	oursFull    = subject{oursFullName, "", configureOurs(true, 0)}
	coreDNS     = subject{coreDNSName, "", configureCoreDNS(false)}
	coreDNSFull = subject{coreDNSFullName, "", configureCoreDNS(true)}
	dnsdist     = subject{dnsdistName, "dnsdist", configureDnsdist(false)}
	dnsdistFull = subject{dnsdistFullName, "dnsdist", configureDnsdist(true)}
	unbound     = subject{unboundName, "unbound", configureUnbound(false)}
	unboundFull = subject{unboundFullName, "unbound", configureUnbound(true)}
	dnsmasq     = subject{dnsmasqName, "dnsmasq", configureDnsmasq(false)}
	dnsmasqFull = subject{dnsmasqFullName, "dnsmasq", configureDnsmasq(true)}
)

func configureFloor(*place) ([]string, error) {
	program, err := os.Executable()
	return []string{program, floorRole}, err
}

// stubClient is declared as a stub, whose direct lookups are rejected at once.
// Everybody else is undeclared, so that chains are remembered for them.
const stubClient = "127.0.0.2"

// configureOurs serves one stanza of our plugin with a route for the catalog and
// one for all the rest, and as many more in a rules file as asked for.
func configureOurs(full bool, routes int) func(*place) ([]string, error) {
	return func(p *place) ([]string, error) {
		stanza := []string{
			"upstream up " + p.upstream.String(), "route catalog up", "route . up",
			"clients stub " + stubClient, fmt.Sprintf("cache %d", kept),
		}
		if p.protected {
			secret, err := p.write("secret", "000102030405060708090a0b0c0d0e0f\n")
			if err != nil {
				return nil, err
			}
			stanza[0] += " budget=100000/16000"
			if routes == 0 { // the names of routes are the company's, and have addresses inside
				stanza[0] += " withhold-private"
			}
			stanza = append(stanza, "ratelimit 1000000", "cookies "+secret, "locally-served all")
		}
		if routes > 0 {
			path, err := p.write("rules.yaml", rules(routes))
			if err != nil {
				return nil, err
			}
			stanza = append(stanza, "rules "+path)
		}
		var plugins []string
		if full {
			stanza = append(stanza, "querylog "+filepath.Join(p.directory, "query.log"))
			plugins = append(plugins, "errors", "prometheus "+p.metrics.String())
		}
		return p.corefile(append(plugins, "privatelink {\n        "+strings.Join(stanza, "\n        ")+"\n    }")...)
	}
}

// rules is a rules file with so many routes.
func rules(number int) string {
	var text strings.Builder
	text.WriteString("routes:\n")
	for n := range number {
		fmt.Fprintf(&text, "  - {suffix: %s, group: up}\n", routeSuffix(n))
	}
	return text.String()
}

// configureCoreDNS serves CoreDNS's own plugins, from our binary. What its log
// plugin writes to standard output goes to a file.
func configureCoreDNS(full bool) func(*place) ([]string, error) {
	return func(p *place) ([]string, error) {
		plugins := []string{
			fmt.Sprintf("cache {\n        success %d\n        denial %d\n    }", kept, kept),
			"forward . " + p.upstream.String(),
		}
		if full {
			plugins = append([]string{"prometheus " + p.metrics.String(), "errors", "log"}, plugins...)
		}
		return p.corefile(plugins...)
	}
}

// corefile writes a server block with plugins, and returns how to serve it.
func (p *place) corefile(plugins ...string) ([]string, error) {
	if p.profiles.IsValid() {
		plugins = append([]string{"pprof " + p.profiles.String()}, plugins...)
	}
	path, err := p.write("Corefile", fmt.Sprintf(".:%d {\n    bind %s\n    %s\n}\n",
		p.address.Port(), p.address.Addr(), strings.Join(plugins, "\n    ")))
	return []string{p.program, "serve", "-c", path}, err
}

// configureDnsdist gives dnsdist a packet cache and one server behind it. The cache
// has room for all that a run asks: a full one takes nothing new, which would be
// less work than the others have. Metrics are always counted.
func configureDnsdist(full bool) func(*place) ([]string, error) {
	return func(p *place) ([]string, error) {
		lines := []string{
			fmt.Sprintf("setLocal(%q)", p.address.String()),
			`setSecurityPollSuffix("")`, // it asks the Internet otherwise
			"setMaxUDPOutstanding(65535)",
			fmt.Sprintf("newServer({address=%q}):setUp()", p.upstream.String()), // no health checks
			"getPool(\"\"):setCache(newPacketCache(2000000))",
		}
		if full {
			// As text, appended, through a buffer, always, with the time.
			lines = append(lines, fmt.Sprintf("addAction(AllRule(), LogAction(%q, false, true, true, false, true))",
				filepath.Join(p.directory, "query.log")))
		}
		path, err := p.write("dnsdist.conf", strings.Join(lines, "\n")+"\n")
		return []string{"dnsdist", "--supervised", "--disable-syslog", "-C", path}, err
	}
}

// configureUnbound makes Unbound forward everything, without validation.
func configureUnbound(full bool) func(*place) ([]string, error) {
	return func(p *place) ([]string, error) {
		lines := []string{
			"server:", "interface: 127.0.0.1", fmt.Sprintf("port: %d", p.address.Port()), "do-daemonize: no",
			`username: ""`, `chroot: ""`, `pidfile: ""`, "use-syslog: no", "verbosity: 0",
			fmt.Sprintf("directory: %q", p.directory), `module-config: "iterator"`, "do-not-query-localhost: no",
			"access-control: 127.0.0.0/8 allow", "do-ip6: no", "num-threads: 1", "so-reuseport: no",
			"outgoing-range: 8192", "num-queries-per-thread: 4096", "msg-cache-size: 128m", "rrset-cache-size: 256m",
		}
		if full {
			lines = append(lines, "log-replies: yes", "log-time-ascii: yes", fmt.Sprintf("logfile: %q", filepath.Join(p.directory, "query.log")))
		}
		lines = append(lines, "remote-control:", "control-enable: no",
			"forward-zone:", `name: "."`, fmt.Sprintf("forward-addr: %s@%d", p.upstream.Addr(), p.upstream.Port()))
		path, err := p.write("unbound.conf", strings.Join(lines, "\n")+"\n")
		return []string{"unbound", "-d", "-p", "-c", path}, err
	}
}

// configureDnsmasq makes dnsmasq forward everything. It warns of a cache for more
// than 10,000 answers.
func configureDnsmasq(full bool) func(*place) ([]string, error) {
	return func(p *place) ([]string, error) {
		line := []string{
			"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
			"--listen-address=127.0.0.1", "--bind-interfaces", fmt.Sprintf("--port=%d", p.address.Port()),
			"--no-resolv", "--no-hosts", fmt.Sprintf("--server=%s#%d", p.upstream.Addr(), p.upstream.Port()),
			"--cache-size=10000", "--dns-forward-max=10000",
		}
		if full {
			line = append(line, "--log-queries", "--log-facility="+filepath.Join(p.directory, "query.log"))
		}
		return line, nil
	}
}
