package privatelink

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

func parseUpstream(parsed *config, where string, arguments []string) error {
	name := arguments[0]
	if existing, declared := parsed.groups[name]; declared {
		return fmt.Errorf("%s: found upstream group %q a second time, expected one line for each group; the first is at %s", where, name, existing.where)
	}
	group := &groupConfig{name: name, where: where}
	parsed.groups[name] = group
	parsed.order = append(parsed.order, name)
	var mistakes []error
	for _, argument := range arguments[1:] {
		if option, err := group.setOption(argument); option {
			if err != nil {
				mistakes = append(mistakes, fmt.Errorf("%s: upstream group %q: %w", where, name, err))
			}
			continue
		}
		if err := group.addServer(&group.servers, argument); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: upstream group %q: %w", where, name, orOption(argument, err)))
		}
	}
	if len(group.servers) == 0 && len(mistakes) == 0 {
		mistakes = append(mistakes, fmt.Errorf("%s: upstream group %q: found no server, expected at least one address that is no backup", where, name))
	}
	return errors.Join(mistakes...)
}

// setOption reads an argument that is no server, and reports whether it is one.
func (g *groupConfig) setOption(argument string) (option bool, err error) {
	if argument == withholdPrivate {
		g.withholdPrivate = true
		return true, nil
	}
	name, written, hasValue := strings.Cut(argument, "=")
	read, known := groupOptions[name]
	if !hasValue || !known {
		return false, nil
	}
	return true, read(g, written)
}

// groupOptions are the options with a value, by name.
var groupOptions = map[string]func(g *groupConfig, written string) error{
	"backup":  (*groupConfig).addBackups,
	"budget":  (*groupConfig).setBudget,
	"clients": (*groupConfig).addClients,
	"probe":   (*groupConfig).setProbe,
}

// orOption is the mistake of an argument that is neither a server nor an option: where it
// does not even look like a server, with the options that there are.
func orOption(argument string, mistake error) error {
	if word, _, _ := strings.Cut(argument, "="); word == "" || strings.ContainsAny(word, ".:/[]") {
		return mistake
	}
	options := slices.Sorted(maps.Keys(groupOptions))
	return fmt.Errorf("found %q, expected an IP address with an optional port, %s=, or %s", argument, strings.Join(options, "=, "), withholdPrivate)
}

// addServer reads a server and adds it to a tier of the group.
func (g *groupConfig) addServer(tier *[]endpoint, written string) error {
	server, err := parseEndpoint(written)
	if err != nil {
		return err
	}
	if slices.Contains(g.endpoints(), server) {
		return fmt.Errorf("found %s twice, expected each server once", server)
	}
	*tier = append(*tier, server)
	return nil
}

// addBackups reads one further tier.
func (g *groupConfig) addBackups(written string) error {
	g.backups = append(g.backups, nil)
	tier := &g.backups[len(g.backups)-1]
	var mistakes []error
	for _, one := range strings.Split(written, ",") {
		if err := g.addServer(tier, one); err != nil {
			mistakes = append(mistakes, fmt.Errorf("backup=%s: %w", written, err))
		}
	}
	return errors.Join(mistakes...)
}

func (g *groupConfig) setBudget(written string) (err error) {
	g.budget, err = parseBudget(written)
	return err
}

// setProbe reads the name that silent servers are asked for.
func (g *groupConfig) setProbe(written string) error {
	if err := checkName(written); err != nil {
		return fmt.Errorf("probe=%s: %w", written, err)
	}
	if g.probe != "" {
		return fmt.Errorf("found probe=%s a second time, expected one name for each group", written)
	}
	g.probe = dns.CanonicalName(written)
	return nil
}

// withholdPrivate is the option of a group that may give no private address.
const withholdPrivate = "withhold-private"

// parseBudget reads a preset, or queries a second and outstanding queries.
func parseBudget(written string) (upstream.Budget, error) {
	switch written {
	case "azure":
		return upstream.Azure(), nil
	case "resolver":
		return upstream.Resolver(), nil
	}
	perSecond, outstanding, _ := strings.Cut(written, "/")
	rate, rateErr := strconv.Atoi(perSecond)
	slots, slotsErr := strconv.Atoi(outstanding)
	if rateErr != nil || slotsErr != nil || rate < 1 || slots < 1 {
		return upstream.Budget{}, fmt.Errorf("found budget=%s, expected azure, resolver, or queries a second and outstanding queries such as 500/100", written)
	}
	return upstream.Budget{PerSecond: rate, Outstanding: slots}, nil
}

// encrypted are the schemes of servers that are asked over TLS, with their ports.
var encrypted = map[string]struct {
	transport upstream.Transport
	port      string
}{
	"tls":   {upstream.TLS, "853"},
	"https": {upstream.HTTPS, "443"},
}

// parseEndpoint reads a server: 10.0.0.4, tls://9.9.9.9%dns.quad9.net, or
// https://9.9.9.9%dns.quad9.net/dns-query. The name behind % is the one that the
// server's certificate must carry; it is not looked up.
func parseEndpoint(written string) (endpoint, error) {
	scheme, rest, hasScheme := strings.Cut(written, "://")
	if !hasScheme {
		address, err := parseAddress(written, "53")
		return endpoint{address: address}, err
	}
	kind, known := encrypted[scheme]
	if !known {
		return endpoint{}, fmt.Errorf("found %q, expected an IP address, tls:// or https://", written)
	}
	host, behind, _ := strings.Cut(rest, "%")
	name, path, hasPath := strings.Cut(behind, "/")
	switch {
	case name == "":
		return endpoint{}, fmt.Errorf("found %q without the name of its certificate, expected for example %s://9.9.9.9%%dns.quad9.net", written, scheme)
	case hasPath && kind.transport != upstream.HTTPS:
		return endpoint{}, fmt.Errorf("found %q with a path, which only https:// has", written)
	}
	address, err := parseAddress(host, kind.port)
	server := endpoint{address: address, transport: kind.transport, name: name}
	if hasPath {
		server.path = "/" + path
	}
	return server, err
}

// parseAddress reads the address of a name server: an IP address, with a port
// if it is not the usual one.
func parseAddress(written, port string) (netip.AddrPort, error) {
	address, err := netip.ParseAddrPort(written)
	if err != nil {
		// "[2001:db8::4]" and "10.0.0.4" alike.
		address, err = netip.ParseAddrPort(written + ":" + port)
	}
	if bare, bareErr := netip.ParseAddr(written); bareErr == nil {
		address, err = netip.ParseAddrPort(net.JoinHostPort(bare.String(), port))
	}
	switch {
	case err == nil && (address.Addr().IsUnspecified() || address.Addr().IsMulticast()):
		return netip.AddrPort{}, fmt.Errorf("found %q, which is no server's address", written)
	case err == nil && address.Port() == 0:
		return netip.AddrPort{}, fmt.Errorf("found %q, expected a port between 1 and 65535", written)
	case err == nil:
		return netip.AddrPortFrom(address.Addr().Unmap(), address.Port()), nil
	case strings.HasSuffix(written, ":"):
		return netip.AddrPort{}, fmt.Errorf("found %q without a port after the colon, expected for example 10.0.0.4 or 10.0.0.4:5353", written)
	default:
		return netip.AddrPort{}, fmt.Errorf("found %q, expected an IP address with an optional port, such as 10.0.0.4, 10.0.0.4:5353 or [2001:db8::4]:53", written)
	}
}
