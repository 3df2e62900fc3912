package privatelink

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy/caddyfile"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// properties are the lines a stanza may hold. Each function gets the line's
// arguments and where they stand, and changes the configuration or says what
// is wrong.
var properties = map[string]func(*config, string, []string) error{
	"catalog":        parseCatalog,
	"upstream":       parseUpstream,
	"route":          parseRoute,
	"rules":          parseRules,
	"clients":        parseClients,
	"direct":         parseDirect,
	"private":        parsePrivate,
	"must-private":   parseMustPrivate,
	"unlinked":       parseUnlinked,
	"cache":          parseCache,
	"state":          parseState,
	"locally-served": parseLocallyServed,
	"ratelimit":      parseRateLimit,
	"cookies":        parseCookies,
	"querylog":       parseQuerylog,
	"fastpath":       parseFastPath,
}

// parse reads a stanza and the files it names. It returns every mistake, each
// with its place, or a configuration that is whole.
func parse(d *caddyfile.Dispenser) (*config, error) {
	var mistakes []error
	d.Next()
	parsed, first := newConfig(d.File()), place(d)
	parsed.where = first
	if extra := d.RemainingArgs(); len(extra) > 0 {
		mistakes = append(mistakes, fmt.Errorf("%s: found %q after privatelink, expected a block in braces", first, extra[0]))
	}
	for d.NextBlock() {
		mistakes = append(mistakes, parseProperty(parsed, d))
	}
	for d.Next() {
		if d.Val() == "privatelink" {
			mistakes = append(mistakes, fmt.Errorf("%s: found a second privatelink in one server block, expected one; the first is at %s", place(d), first))
			break
		}
	}
	mistakes = append(mistakes, parsed.check(first))
	return parsed, errors.Join(mistakes...)
}

func place(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

func parseProperty(parsed *config, d *caddyfile.Dispenser) error {
	property, where := d.Val(), place(d)
	arguments := d.RemainingArgs()
	parseArguments, known := properties[property]
	if !known {
		return fmt.Errorf("%s: found property %q, expected one of %s", where, property, strings.Join(slices.Sorted(maps.Keys(properties)), ", "))
	}
	if len(arguments) == 0 {
		return fmt.Errorf("%s: found %s without an argument, expected at least one", where, property)
	}
	return errors.Join(parsed.saidTwice(property, where, arguments), parseArguments(parsed, where, arguments))
}

func parseCatalog(parsed *config, where string, arguments []string) error {
	for _, argument := range arguments {
		if slices.ContainsFunc(parsed.catalogs, func(named located[string]) bool { return named.value == argument }) {
			return fmt.Errorf("%s: found catalog %s a second time, expected it once", where, argument)
		}
		if include, isOption := strings.CutPrefix(argument, "include="); isOption {
			parsed.include = append(parsed.include, strings.Split(include, ",")...)
			continue
		}
		parsed.catalogs = append(parsed.catalogs, located[string]{argument, where})
	}
	return nil
}

// parseFastPath switches the read loops off, for doubt and for comparison.
func parseFastPath(parsed *config, where string, arguments []string) error {
	if len(arguments) != 1 || arguments[0] != "off" {
		return fmt.Errorf("%s: found fastpath %s, expected off; queries are answered in place wherever that can be done", where, strings.Join(arguments, " "))
	}
	parsed.fastPathOff = true
	return nil
}

func parseRoute(parsed *config, where string, arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("%s: found route with one argument, expected two: a suffix, =name or catalog, and an upstream group", where)
	}
	route := routeConfig{where: where, label: arguments[0]}
	for index, argument := range arguments[1:] {
		isGroup := index == 0 || len(route.groups) == index && !strings.Contains(argument, "=")
		if isGroup {
			route.groups = append(route.groups, argument)
			continue
		}
		if err := route.setOption(argument); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	written, isName := strings.CutPrefix(arguments[0], "=")
	switch {
	case arguments[0] == "catalog":
		route.catalog = true
	case isName:
		route.name = written
	default:
		route.suffix = written
	}
	return parsed.addRoute(route)
}

// setOption reads what is to be done when the route's group has no answer.
func (r *routeConfig) setOption(option string) error {
	key, value, _ := strings.Cut(option, "=")
	if key == "stale" {
		return r.setStale(option, value)
	}
	target, known := map[string]*string{"missing": &r.missing, "outage": &r.outage}[key]
	switch {
	case !known:
		return fmt.Errorf("found %q, expected missing=GROUP, outage=GROUP or stale=DURATION", option)
	case value == "":
		return fmt.Errorf("found %q without a group, expected for example %s=public", option, key)
	}
	*target = value
	return nil
}

func (r *routeConfig) setStale(option, value string) error {
	duration, err := time.ParseDuration(value)
	if err != nil || duration < time.Second || duration > maxStale {
		return fmt.Errorf("found %q, expected a duration between 1s and %s", option, maxStale)
	}
	r.stale = duration
	return nil
}

// maxStale is a week: an older answer is no answer.
const maxStale = 7 * 24 * time.Hour

// addRoute checks and keeps a route of the Corefile or of a rules file.
func (c *config) addRoute(route routeConfig) error {
	for _, name := range []*string{&route.suffix, &route.name} {
		if *name == "" {
			continue
		}
		if err := checkName(*name); err != nil {
			return fmt.Errorf("%s: %w", route.where, err)
		}
		*name = dns.CanonicalName(*name)
	}
	if group := repeated(route.groups); group != "" {
		return fmt.Errorf("%s: found upstream group %q twice on one route, expected each once", route.where, group)
	}
	if !route.catalog && route.suffix == "" && route.name == "" {
		return fmt.Errorf("%s: found a route without a name, expected a suffix, =name or catalog", route.where)
	}
	c.routes = append(c.routes, route)
	return nil
}

func checkName(name string) error {
	if _, ok := dns.IsDomainName(name); !ok || name == "" || strings.ContainsAny(name, "*/ ") {
		return fmt.Errorf("found %q, expected a domain name such as corp.example", name)
	}
	return nil
}

func parseClients(parsed *config, where string, arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("%s: found clients with one argument, expected a class and at least one network", where)
	}
	if err := policy.CheckClass(arguments[0]); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	var networks []string
	for _, argument := range arguments[1:] {
		code, isIdentity := strings.CutPrefix(argument, "identity=")
		var err error
		switch {
		case argument == flattened:
			err = parsed.flattenFor(arguments[0])
		case isIdentity:
			err = parsed.identifyBy(arguments[0], code)
		default:
			networks = append(networks, argument)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return parsed.declareClients(where, arguments[0], networks)
}

// identifyBy says in which EDNS option resolvers tell who asked them.
func (c *config) identifyBy(class, written string) error {
	code, err := strconv.ParseUint(written, 10, 16)
	if err != nil || code < 65001 || code > 65534 || class != "resolver" {
		return fmt.Errorf("found identity=%s for clients %s, expected it for resolver, with the code of an EDNS option for local use, 65001 to 65534", written, class)
	}
	if c.identity != 0 && c.identity != uint16(code) {
		return fmt.Errorf("found identity=%d, expected identity=%d as for the resolvers before, or none", code, c.identity)
	}
	c.identity = uint16(code)
	return nil
}

// flattened is the option of clients that leaves the CNAMEs out of their answers.
const flattened = "answers=flattened"

func (c *config) flattenFor(class string) error {
	classes := map[string]policy.Class{"stub": policy.Stub, "resolver": policy.Resolver}
	chosen, known := classes[class]
	if !known {
		return fmt.Errorf("found %s for clients %s, expected it for stub or resolver", flattened, class)
	}
	c.flatten[chosen] = true
	return nil
}

// declareClients keeps networks of the Corefile or of a rules file.
func (c *config) declareClients(where, class string, networks []string) error {
	var mistakes []error
	for _, written := range networks {
		network, err := parseNetwork(written)
		if err == nil {
			err = c.clients.Declare(class, network)
			c.declared = append(c.declared, declaration{class, network, where})
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(mistakes...)
}

// parseNetwork reads a network in CIDR notation, or a single address.
func parseNetwork(written string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(written); err == nil {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(written)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("found %q, expected a network such as 10.20.0.0/16 or an address", written)
	}
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("found %q, which has bits set right of its length; expected %s", written, network.Masked())
	}
	return network, nil
}

func parseDirect(parsed *config, where string, arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("%s: found %d arguments to direct, expected two: a client class and an action", where, len(arguments))
	}
	action, err := policy.ParseAction(arguments[1])
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	switch class := arguments[0]; {
	case class == policy.Resolver.String() && action.Rejects():
		return fmt.Errorf("%s: found direct resolver %s, expected allow or audit: a resolver that is not answered on the names it chases loses every private endpoint", where, action)
	case class == policy.Resolver.String():
		parsed.direct[policy.Resolver] = action
	case class == policy.Stub.String():
		parsed.direct[policy.Stub] = action
	case class == policy.Other.String():
		parsed.direct[policy.Other] = action
	default:
		return fmt.Errorf("%s: found client class %q, expected one of stub, resolver, other", where, class)
	}
	return nil
}

func parsePrivate(parsed *config, where string, arguments []string) error {
	return parsed.addPrivate(where, arguments)
}

// addPrivate keeps private ranges of the Corefile or of a rules file.
func (c *config) addPrivate(where string, networks []string) error {
	var mistakes []error
	for _, written := range networks {
		network, err := parseNetwork(written)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", where, err))
			continue
		}
		c.private = append(c.private, network)
	}
	return errors.Join(mistakes...)
}

func parseMustPrivate(parsed *config, where string, arguments []string) error {
	var names []string
	for _, argument := range arguments {
		mode, isOption := strings.CutPrefix(argument, "withhold=")
		switch {
		case !isOption:
			names = append(names, argument)
		case mode != "nodata" && mode != "servfail":
			return fmt.Errorf("%s: found %q, expected withhold=nodata or withhold=servfail", where, argument)
		default:
			parsed.withholdServfail = mode == "servfail"
		}
	}
	return parsed.addMustPrivate(where, names)
}

// addMustPrivate keeps names of the Corefile or of a rules file.
func (c *config) addMustPrivate(where string, names []string) error {
	var mistakes []error
	for _, written := range names {
		add := c.mustBePrivate.AddSuffix
		name, isName := strings.CutPrefix(written, "=")
		if isName {
			add = c.mustBePrivate.AddName
		}
		err := checkName(name)
		if err == nil {
			err = add(name, struct{}{})
			c.protected = append(c.protected, located[string]{written, where})
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(mistakes...)
}

func parseUnlinked(parsed *config, where string, arguments []string) error {
	actions := map[string]policy.Action{"serve": policy.Allow, "audit": policy.Audit, "withhold": policy.Withhold}
	action, known := actions[arguments[0]]
	if !known || len(arguments) != 1 {
		return fmt.Errorf("%s: found unlinked %s, expected one of serve, audit, withhold", where, strings.Join(arguments, " "))
	}
	parsed.unlinked = action
	return nil
}

func parseCache(parsed *config, where string, arguments []string) error {
	entries, err := strconv.Atoi(arguments[0])
	if err != nil || len(arguments) != 1 || entries < 1 {
		return fmt.Errorf("%s: found cache %s, expected the number of answers to keep, such as %d", where, strings.Join(arguments, " "), defaultCacheEntries)
	}
	parsed.cacheEntries = entries
	return nil
}

func parseState(parsed *config, where string, arguments []string) error {
	return parseOnce(&parsed.state, "state", where, arguments)
}

// parseOnce reads a property with one argument that may stand once.
func parseOnce(target *located[string], property, where string, arguments []string) error {
	switch {
	case len(arguments) != 1:
		return fmt.Errorf("%s: found %d arguments to %s, expected one", where, len(arguments), property)
	case target.where != "":
		return fmt.Errorf("%s: found a second %s, expected one; the first is at %s", where, property, target.where)
	}
	*target = located[string]{arguments[0], where}
	return nil
}
