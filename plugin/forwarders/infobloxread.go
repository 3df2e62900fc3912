package forwarders

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// infobloxReader knows which columns the object types of the file have.
type infobloxReader struct {
	*reader
	columns map[string]map[string]int
	view    string
}

// readInfoblox reads the forward zones of a CSV export of NIOS. A row whose first
// field begins with "header-" names the columns of the object type behind it.
func readInfoblox(r *reader, data []byte) error {
	rows := csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = -1
	rows.LazyQuotes = true
	rows.Comment = '#'
	rows.Comma = separator(data)
	i := &infobloxReader{reader: r, columns: map[string]map[string]int{}}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if broken := (*csv.ParseError)(nil); errors.As(err, &broken) {
			return r.fail(broken.Line, "found %v, expected CSV", broken.Err)
		}
		if err != nil {
			return r.fail(1, "%v", err)
		}
		line, _ := rows.FieldPos(0)
		if err := i.row(line, row); err != nil {
			return err
		}
	}
}

// separator is the one of the first header: exports have commas, semicolons or
// tabs.
func separator(data []byte) rune {
	for line := range bytes.Lines(data) {
		if found := bytes.IndexAny(line, ",;\t"); found >= 0 && line[0] != '#' {
			return rune(line[found])
		}
	}
	return ','
}

// infobloxRow is one object: its fields by the names of their columns.
type infobloxRow struct {
	line    int
	columns map[string]int
	fields  []string
}

// value returns a field, empty if the row does not have it.
func (row infobloxRow) value(name string) string {
	if at, known := row.columns[name]; known && at < len(row.fields) {
		return strings.TrimSpace(row.fields[at])
	}
	return ""
}

// is tells whether a field is true.
func (row infobloxRow) is(name string) bool { return strings.EqualFold(row.value(name), "true") }

func (i *infobloxReader) row(line int, fields []string) error {
	kind := strings.ToLower(strings.TrimSpace(fields[0]))
	if object, isHeader := strings.CutPrefix(kind, "header-"); isHeader {
		columns := map[string]int{}
		for at, name := range fields {
			columns[strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), "*")] = at
		}
		i.columns[object] = columns
		return nil
	}
	row := infobloxRow{line, i.columns[kind], fields}
	switch kind {
	case "forwardzone":
		if row.columns == nil {
			return i.fail(line, "found a forward zone before the row header-forwardzone, expected that row first")
		}
		return i.forwardZone(row)
	case "authzone", "stubzone", "delegatedzone":
		i.leftOut(line, row.value("fqdn"), "a zone of type %s, which Infoblox serves itself; route it to a server that has it", kind)
	}
	return nil
}

func (i *infobloxReader) forwardZone(row infobloxRow) error {
	domain, err := infobloxDomain(row.value("fqdn"), row.value("zone_format"))
	switch {
	case err != nil:
		i.leftOut(row.line, row.value("fqdn"), "%v", err)
		return nil
	case row.is("disabled"):
		i.leftOut(row.line, domain, "the zone is disabled")
		return nil
	case row.value("forward_to") == "" && row.value("ns_group_external") != "":
		i.leftOut(row.line, domain, "its servers are those of the group %s, which is not in this file", shortened(row.value("ns_group_external")))
		return nil
	}
	i.notePlace(row)
	before := len(i.rules)
	if err := i.add(row.line, domain, i.forwardTo(row, domain)); err != nil {
		return err
	}
	if len(i.rules) > before && !row.is("forwarders_only") {
		i.addFirst(row.line)
	}
	return nil
}

// notePlace notes the second DNS view: there are no views here.
func (i *infobloxReader) notePlace(row infobloxRow) {
	if view := row.value("view"); view != i.view && len(i.rules) > 0 {
		i.note(Changed, row.line, "zones of more than one DNS view: whom a view is for is not carried over: all are routed so for every client")
	}
	i.view = row.value("view")
}

// forwardTo reads the servers of a zone: name/address,name/address.
func (i *infobloxReader) forwardTo(row infobloxRow, domain string) []Server {
	var servers []Server
	for written := range strings.SplitSeq(row.value("forward_to"), ",") {
		if written == "" {
			continue
		}
		// What an address may have behind it is of no use here.
		parts := strings.Split(written, "/")
		if server, ok := i.server(row.line, domain, parts[min(1, len(parts)-1)], 53); ok {
			servers = append(servers, server)
		}
	}
	return servers
}

// infobloxDomain is the domain of a zone; a reverse zone is written as the
// network, 10.1.0.0/16.
func infobloxDomain(written, format string) (string, error) {
	if !strings.EqualFold(format, "IPV4") && !strings.EqualFold(format, "IPV6") {
		return written, nil
	}
	network, err := netip.ParsePrefix(written)
	if err != nil {
		return "", errors.New("expected a network such as 10.1.0.0/16")
	}
	return reverseDomain(network)
}

// reverseDomain is the domain of a network's addresses (RFC 1035 section 3.5, RFC
// 3596 section 2.5).
func reverseDomain(network netip.Prefix) (string, error) {
	step, end, digits := 8, "in-addr.arpa", []string{}
	if network.Addr().Is6() {
		step, end = 4, "ip6.arpa"
	}
	if network.Bits()%step != 0 || network.Bits() == 0 {
		return "", fmt.Errorf("expected a network whose length is a multiple of %d: others have no domain of their own", step)
	}
	for _, octet := range network.Addr().AsSlice() {
		if step == 8 {
			digits = append(digits, fmt.Sprint(octet))
		} else {
			digits = append(digits, fmt.Sprintf("%x", octet>>4), fmt.Sprintf("%x", octet&15))
		}
	}
	domain := end
	for _, digit := range digits[:network.Bits()/step] {
		domain = digit + "." + domain
	}
	return domain, nil
}
