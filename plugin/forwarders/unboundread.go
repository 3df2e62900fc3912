package forwarders

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// unboundClauses begin a part of unbound.conf and have no value (unbound.conf(5)).
var unboundClauses = []string{
	"server", "stub-zone", "forward-zone", "auth-zone", "view", "remote-control", "python", "dynlib", "cachedb", "ipset", "dnstap", "rpz", "dnscrypt",
}

// attribute is one key of unbound.conf with its first value.
type attribute struct {
	line       int
	key, value string
}

// unboundClause is one part of unbound.conf.
type unboundClause struct {
	line       int
	kind       string
	attributes []attribute
}

// all returns the attributes of a key.
func (c unboundClause) all(key string) []attribute {
	return slices.DeleteFunc(slices.Clone(c.attributes), func(a attribute) bool { return a.key != key })
}

// value returns the last value of a key, empty if there is none.
func (c unboundClause) value(key string) string {
	value := ""
	for _, a := range c.all(key) {
		value = a.value
	}
	return value
}

// yes tells whether one of the keys is on.
func (c unboundClause) yes(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(c.value(key), "yes") })
}

// readUnbound reads the forward zones of an unbound.conf, or of a part of one.
func readUnbound(r *reader, data []byte) error {
	clauses, err := r.unboundClauses(data)
	if err != nil {
		return err
	}
	for _, clause := range clauses {
		switch clause.kind {
		case "forward-zone":
			if err := r.forwardZone(clause); err != nil {
				return err
			}
		case "stub-zone", "auth-zone", "rpz":
			r.leftOut(clause.line, clause.value("name"), "a %s; if its servers answer recursive questions, route it to them", clause.kind)
		}
		for _, a := range clause.attributes {
			switch a.key {
			case "include", "include-toplevel":
				r.note(LeftOut, a.line, "include of "+shortened(a.value)+": name that file on the command line as well")
			case "local-zone", "local-data":
				r.note(LeftOut, a.line, "names that Unbound answers itself (local-zone, local-data)")
			}
		}
	}
	return nil
}

// unboundClauses reads the file as clauses. What stands before the first one is
// taken for a clause without a kind.
func (r *reader) unboundClauses(data []byte) ([]unboundClause, error) {
	clauses := []unboundClause{{line: 1}}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		words, err := r.unboundWords(line, string(text))
		if err != nil {
			return nil, err
		}
		for len(words) > 0 {
			key, isKey := words[0].key()
			if !isKey {
				return nil, r.fail(line, "found %q, expected a key with a colon, such as forward-zone:", shortened(words[0].text))
			}
			if words = words[1:]; slices.Contains(unboundClauses, key) {
				clauses = append(clauses, unboundClause{line: line, kind: key})
				continue
			}
			if len(words) == 0 {
				return nil, r.fail(line, "found %s: without a value on its line", shortened(key))
			}
			current := &clauses[len(clauses)-1]
			current.attributes = append(current.attributes, attribute{line, key, words[0].text})
			words = afterValues(words)
		}
	}
	return clauses, nil
}

// afterValues passes over the values of a key: the first word, whatever it is,
// and those after it that are no keys.
func afterValues(words []unboundWord) []unboundWord {
	words = words[1:]
	for len(words) > 0 {
		if _, isKey := words[0].key(); isKey {
			break
		}
		words = words[1:]
	}
	return words
}

// unboundWord is a word, and whether it had quotation marks.
type unboundWord struct {
	text   string
	quoted bool
}

// key returns a key without its colon.
func (w unboundWord) key() (string, bool) {
	key, isKey := strings.CutSuffix(w.text, ":")
	return strings.ToLower(key), isKey && !w.quoted && key != ""
}

// unboundWords splits a line. A # begins a comment only where a word could
// begin: forward-addr: 9.9.9.9@853#dns.quad9.net is one word.
func (r *reader) unboundWords(line int, text string) ([]unboundWord, error) {
	var words []unboundWord
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" || text[0] == '#' {
			return words, nil
		}
		if quote := text[0]; quote == '"' || quote == '\'' {
			end := strings.IndexByte(text[1:], quote)
			if end < 0 {
				return nil, r.fail(line, "found a quotation mark without its other half")
			}
			words = append(words, unboundWord{text[1 : 1+end], true})
			text = text[end+2:]
			continue
		}
		end := strings.IndexAny(text, " \t\r\n")
		if end < 0 {
			end = len(text)
		}
		// name:"corp.example" is a key and its value.
		if quote := strings.Index(text[:end], ":\""); quote >= 0 {
			end = quote + 1
		}
		words = append(words, unboundWord{text[:end], false})
		text = text[end:]
	}
}

func (r *reader) forwardZone(clause unboundClause) error {
	domain := clause.value("name")
	for _, host := range clause.all("forward-host") {
		r.refuseServer(host.line, domain, "server %s: expected an address: privatelink-dns looks no servers' names up", shortened(host.value))
	}
	encrypted := clause.yes("forward-tls-upstream", "forward-ssl-upstream")
	var servers []Server
	for _, written := range clause.all("forward-addr") {
		if server, ok := r.unboundServer(written, domain, encrypted); ok {
			servers = append(servers, server)
		}
	}
	before := len(r.rules)
	if err := r.add(clause.line, domain, servers); err != nil || len(r.rules) == before {
		return err
	}
	if clause.yes("forward-first") {
		r.addFirst(clause.line)
	}
	if clause.yes("forward-tcp-upstream") {
		r.note(Changed, clause.line, "its servers are asked over TCP only (forward-tcp-upstream); here over UDP first")
	}
	if clause.yes("forward-no-cache") {
		r.note(Changed, clause.line, "its answers are not kept (forward-no-cache); here they are, for their TTL")
	}
	return nil
}

// unboundServer reads address@port#name.
func (r *reader) unboundServer(written attribute, domain string, encrypted bool) (Server, bool) {
	rest, name, _ := strings.Cut(written.value, "#")
	address, portText, hasPort := strings.Cut(rest, "@")
	port := uint64(53)
	if encrypted {
		port = 853
	}
	if hasPort {
		var err error
		if port, err = strconv.ParseUint(portText, 10, 16); err != nil {
			port = 0
		}
	}
	server, ok := r.server(written.line, domain, address, uint16(port))
	switch {
	case !ok || !encrypted:
		return server, ok
	case name == "":
		r.refuseServer(written.line, domain, "server %s is asked over TLS without the name of its certificate; expected ADDRESS@853#NAME", shortened(address))
		return Server{}, false
	}
	checked, err := domainName(name)
	if err != nil {
		r.refuseServer(written.line, domain, "server %s: the name of its certificate: %v", shortened(address), err)
		return Server{}, false
	}
	server.Name = checked
	return server, true
}
