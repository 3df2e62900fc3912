//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// Forwarding is what a company's DNS server does with questions. It holds no
// zones of its own.
type Forwarding struct {
	// Conditional are the conditional forwarders.
	Conditional []Forwarder
	// Default is the server for everything else.
	Default string
	// Root, in place of Default, has BIND resolve everything else by itself,
	// beginning at this server.
	Root string
	// First lets BIND resolve by itself what a conditional forwarder does not
	// answer: its default. The others do not have it, or not by default.
	First bool
	// Options are further options of BIND, as in named.conf.
	Options string
}

// Forwarder sends a domain to a server.
type Forwarder struct {
	Domain, Server string
}

// Forward returns forwarders for several domains to one server.
func Forward(server string, domains ...string) []Forwarder {
	var forwarders []Forwarder
	for _, domain := range domains {
		forwarders = append(forwarders, Forwarder{domain, server})
	}
	return forwarders
}

// namedOptions is common to all BINDs. Validation is off because nothing here
// is signed; rndc's port is closed because nobody uses it.
const namedOptions = `controls { };
options {
    directory "%s";
    pid-file none;
    session-keyfile none;
    listen-on { any; };
    listen-on-v6 { none; };
    allow-query { any; };
    dnssec-validation no;
    empty-zones-enable no;
    max-cache-size 16M;
    %s
};
`

// BIND starts BIND 9 as a forwarder at all addresses of the host.
func (h *Host) BIND(forwarding Forwarding) *Process {
	h.lab.t.Helper()
	mode := "only"
	if forwarding.First {
		mode = "first"
	}
	var config strings.Builder
	recursion := "recursion yes; allow-recursion { any; }; " + forwarding.Options
	if forwarding.Root == "" {
		recursion += fmt.Sprintf(" forward only; forwarders { %s; };", forwarding.Default)
	}
	fmt.Fprintf(&config, namedOptions, h.directory, recursion)
	if forwarding.Root != "" {
		h.write("hints", ". 3600000 NS root.\nroot. 3600000 A %s\n", forwarding.Root)
		config.WriteString("zone \".\" { type hint; file \"hints\"; };\n")
	}
	for _, f := range forwarding.Conditional {
		fmt.Fprintf(&config, "zone %q { type forward; forward %s; forwarders { %s; }; };\n", f.Domain, mode, f.Server)
	}
	return h.named(config.String())
}

// controllers is how many domain controllers a forest has.
const controllers = 48

// DomainController starts BIND 9 as the name server of an Active Directory
// domain, at all addresses of the host: with a service record that names many
// controllers, and a text, so that neither answer fits into a UDP packet.
func (h *Host) DomainController(domain string) *Process {
	h.lab.t.Helper()
	var zone strings.Builder
	zone.WriteString("$TTL 300\n@ SOA dc1 hostmaster 1 900 600 86400 300\n@ NS dc1\n")
	for number := 1; number <= controllers; number++ {
		fmt.Fprintf(&zone, "dc%d A 10.30.9.%d\n", number, number)
		fmt.Fprintf(&zone, "_ldap._tcp.dc._msdcs SRV 0 100 389 dc%d\n", number)
		fmt.Fprintf(&zone, "large TXT \"%d is one of many lines that together do not fit into a packet\"\n", number)
	}
	h.write("zone", "%s", zone.String())
	options := fmt.Sprintf(namedOptions, h.directory, "recursion no;")
	return h.named(options + fmt.Sprintf("zone %q { type primary; file \"zone\"; };\n", domain))
}

// Internet starts BIND 9 as the name server of a root zone that holds the records
// of all the internet, at all addresses of the host.
func (h *Host) Internet(records ...string) *Process {
	h.lab.t.Helper()
	h.write("zone", "$TTL 5\n. SOA root. root. 1 900 600 86400 5\n. NS root.\nroot. A %s\n%s\n", h.Address(), strings.Join(records, "\n"))
	options := fmt.Sprintf(namedOptions, h.directory, "recursion no;")
	return h.named(options + "zone \".\" { type primary; file \"zone\"; };\n")
}

func (h *Host) named(config string) *Process {
	h.lab.t.Helper()
	path := h.write("named.conf", "%s", config)
	return h.Start("BIND", "running\n", "named", "-g", "-4", "-c", path)
}

// Unbound starts Unbound as a forwarder at all addresses of the host. It does
// not validate: nothing here is signed.
func (h *Host) Unbound(forwarding Forwarding) *Process {
	h.lab.t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, `server:
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    do-ip6: no
    do-daemonize: no
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "%s"
    pidfile: ""
    module-config: "iterator"
remote-control:
    control-enable: no
`, h.directory)
	for _, f := range append(forwarding.Conditional, Forwarder{".", forwarding.Default}) {
		fmt.Fprintf(&config, "forward-zone:\n    name: %q\n    forward-addr: %s\n", f.Domain, f.Server)
	}
	path := h.write("unbound.conf", "%s", config.String())
	return h.Start("Unbound", "start of service", "unbound", "-d", "-v", "-c", path)
}

// Dnsmasq starts dnsmasq as a forwarder at all addresses of the host. Its
// debugging mode alone keeps it from changing its user, which it may not do in
// a user namespace.
func (h *Host) Dnsmasq(forwarding Forwarding) *Process {
	h.lab.t.Helper()
	var config strings.Builder
	config.WriteString("no-daemon\nlog-facility=-\nno-resolv\nno-hosts\n")
	fmt.Fprintf(&config, "server=%s\n", forwarding.Default)
	for _, f := range forwarding.Conditional {
		fmt.Fprintf(&config, "server=/%s/%s\n", f.Domain, f.Server)
	}
	path := h.write("dnsmasq.conf", "%s", config.String())
	return h.Start("dnsmasq", "started, version", "dnsmasq", "-C", path)
}
