package forwarders

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// readBIND reads the forwarders of a named.conf, or of a part of one.
func readBIND(r *reader, data []byte) error {
	p := &namedConf{reader: r, data: data, line: 1}
	all, err := p.statements(0)
	if err != nil {
		return err
	}
	return r.bindStatements(all)
}

// bindStatements reads the top level of the file, or of a view.
func (r *reader) bindStatements(all []statement) error {
	for _, s := range all {
		var err error
		switch {
		case s.is("options"):
			err = r.bindOptions(s)
		case s.is("zone"):
			err = r.bindZone(s)
		case s.is("view"):
			r.note(Changed, s.line, "view "+shortened(s.word(1))+": whom it is for is not carried over: its zones are routed so for every client")
			err = r.bindStatements(s.block)
		case s.is("include"):
			r.note(LeftOut, s.line, "include of "+shortened(s.word(1))+": name that file on the command line as well")
		case s.is("forwarders"):
			err = r.bindOptions(statement{line: s.line, block: all}) // of a view
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bindOptions reads the forwarders for everything.
func (r *reader) bindOptions(options statement) error {
	forwarders, found := find(options.block, "forwarders")
	if !found || len(forwarders.block) == 0 {
		return nil
	}
	return r.bindForward(forwarders, options.block, ".")
}

// ordinaryZones are in most named.conf files and mean nothing here: our own
// server answers or passes on the names of RFC 6303.
var ordinaryZones = []string{"localhost", "127.in-addr.arpa", "0.in-addr.arpa", "255.in-addr.arpa"}

func (r *reader) bindZone(zone statement) error {
	domain := zone.word(1)
	kind, _ := find(zone.block, "type")
	switch written := strings.ToLower(kind.word(1)); {
	case written == "forward":
		forwarders, _ := find(zone.block, "forwarders")
		forwarders.line = zone.line
		return r.bindForward(forwarders, zone.block, domain)
	case written == "hint" || slices.Contains(ordinaryZones, strings.TrimSuffix(strings.ToLower(domain), ".")):
		return nil
	case slices.Contains([]string{"stub", "static-stub"}, written):
		r.leftOut(zone.line, domain, "a zone of type %s; if its servers answer recursive questions, route it to them", written)
	default:
		r.leftOut(zone.line, domain, "a zone of type %s, which BIND serves itself; route it to a server that has it, such as this one", firstWord(shortened(written), "none"))
	}
	return nil
}

func firstWord(words ...string) string {
	at := slices.IndexFunc(words, func(word string) bool { return word != "" })
	return words[max(at, 0)]
}

// bindForward reads forwarders, and whether they are the only ones asked.
func (r *reader) bindForward(forwarders statement, block []statement, domain string) error {
	port, err := bindPort(forwarders.words)
	if err != nil {
		r.leftOut(forwarders.line, domain, "%v", err)
		return nil
	}
	var servers []Server
	for _, s := range forwarders.block {
		own, err := bindPort(s.words)
		if err != nil {
			r.refuseServer(s.line, domain, "server %s: %v", shortened(s.word(0)), err)
			continue
		}
		if own == 0 {
			own = port
		}
		if own == 0 {
			own = 53
		}
		if server, ok := r.server(s.line, domain, s.word(0), own); ok {
			servers = append(servers, server)
		}
	}
	before := len(r.rules)
	if err := r.add(forwarders.line, domain, servers); err != nil {
		return err
	}
	if mode, _ := find(block, "forward"); len(r.rules) > before && !strings.EqualFold(mode.word(1), "only") {
		r.addFirst(forwarders.line)
	}
	return nil
}

// bindPort reads what stands behind a server's address or the word forwarders:
// port 5353. Zero is none.
func bindPort(words []string) (uint16, error) {
	var port uint16
	for at := 1; at < len(words); at += 2 {
		value := ""
		if at+1 < len(words) {
			value = words[at+1]
		}
		switch strings.ToLower(words[at]) {
		case "port":
			number, err := strconv.ParseUint(value, 10, 16)
			if err != nil || number == 0 {
				return 0, fmt.Errorf("found port %q, expected a number from 1 to 65535", shortened(value))
			}
			port = uint16(number)
		case "dscp":
		default:
			return 0, fmt.Errorf("found %q, expected a port; servers asked over TLS are written tls://ADDRESS%%NAME in an upstream line", shortened(words[at]))
		}
	}
	return port, nil
}
