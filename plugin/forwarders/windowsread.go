package forwarders

import (
	"strings"
)

// readWindows reads what PowerShell says of a Windows DNS server: the objects of
// Get-DnsServerZone and Get-DnsServerForwarder as ConvertTo-Json prints them, one
// of them or an array.
func readWindows(r *reader, data []byte) error {
	values, err := r.jsonValues(data)
	if err != nil {
		return err
	}
	for _, value := range values {
		if err := r.windowsNode(value); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) windowsNode(node jsonNode) error {
	switch {
	case node.has("ZoneName"):
		return r.windowsZone(node)
	case node.has("UseRootHint"):
		return r.windowsForwarder(node)
	case node.has("value"): // how Windows PowerShell wraps some arrays
		return r.windowsNode(node.field("value"))
	case node.items == nil:
		r.note(LeftOut, node.line, "found no zone here, expected objects of Get-DnsServerZone with ZoneName and ZoneType")
	}
	for _, item := range node.items {
		if err := r.windowsNode(item); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) windowsZone(zone jsonNode) error {
	domain := zone.field("ZoneName").text
	switch kind := zone.field("ZoneType").text; {
	case isTrue(zone.field("IsAutoCreated")) || strings.EqualFold(domain, "TrustAnchors"):
		return nil
	case kind != "Forwarder":
		r.leftOut(zone.line, domain, "a zone of type %s, which Windows serves itself; route it to a server that has it, such as this one", firstWord(shortened(kind), "none"))
		return nil
	case !zone.has("MasterServers"):
		r.leftOut(zone.line, domain, "a forwarder without MasterServers; select them before ConvertTo-Json -Depth 4")
		return nil
	}
	return r.windowsServers(zone, domain, zone.field("MasterServers"), isTrue(zone.field("UseRecursion")))
}

// windowsForwarder reads the servers for everything.
func (r *reader) windowsForwarder(forwarder jsonNode) error {
	if len(forwarder.field("IPAddress").items) == 0 && !forwarder.field("IPAddress").isText {
		return nil // it asks the root
	}
	return r.windowsServers(forwarder, ".", forwarder.field("IPAddress"), isTrue(forwarder.field("UseRootHint")))
}

func (r *reader) windowsServers(node jsonNode, domain string, written jsonNode, first bool) error {
	var servers []Server
	for _, address := range addresses(written) {
		if server, ok := r.server(node.line, domain, address, 53); ok {
			servers = append(servers, server)
		}
	}
	before := len(r.rules)
	if err := r.add(node.line, domain, servers); err != nil {
		return err
	}
	if first && len(r.rules) > before {
		r.addFirst(node.line)
	}
	return nil
}

// addresses finds addresses in the shapes that ConvertTo-Json gives them: text,
// a System.Net.IPAddress as an object, an array of either, and all of them in
// one text where the depth did not suffice.
func addresses(node jsonNode) []string {
	if node.isText {
		return strings.Fields(node.text)
	}
	if node.has("IPAddressToString") {
		return []string{node.field("IPAddressToString").text}
	}
	if node.has("value") {
		return addresses(node.field("value"))
	}
	var found []string
	for _, item := range node.items {
		found = append(found, addresses(item)...)
	}
	return found
}

func isTrue(node jsonNode) bool { return strings.EqualFold(node.text, "true") }
