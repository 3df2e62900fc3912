// Package querylog writes the record of who asked what and why it was answered
// so: one record a query, as a line of JSON.
//
// It knows the record and the sinks. It does not know how a query is answered,
// and it never delays an answer: what the sink cannot take is dropped and counted.
package querylog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"time"
)

// Record is one query and its answer. Field names are those of the log; empty
// fields are left out. Durations are in seconds.
type Record struct {
	// Time is when the query arrived.
	Time time.Time `json:"time"`
	// Client is the address the query came from; Transport "udp" or "tcp".
	Client     netip.Addr `json:"client_ip"`
	ClientPort uint16     `json:"client_port"`
	Transport  string     `json:"transport"`
	// ClientClass is what the client was declared to be: other, stub, resolver, denied.
	ClientClass string `json:"client_class"`

	// Name is the name asked for, lower case, with its final dot; Type and
	// Class in presentation form.
	Name  string `json:"qname"`
	Type  string `json:"qtype"`
	Class string `json:"qclass"`

	// Rcode is what the client was told; EDE the extended error with it.
	Rcode string `json:"rcode"`
	EDE   *EDE   `json:"ede,omitempty"`

	// Chain are the names that CNAMEs led over, Answers the addresses at its end.
	Chain   []string     `json:"chain,omitempty"`
	Answers []netip.Addr `json:"answers,omitempty"`
	// Verdict is what the answer means; empty where nothing was asked upstream.
	Verdict string `json:"verdict,omitempty"`
	// Namespace is the catalogued namespace of the name; PrivatelinkZone the
	// catalogued zone that the name or its chain enters; UncataloguedPrivatelink
	// a name of the chain with a privatelink label that the catalog does not know.
	Namespace               string `json:"namespace,omitempty"`
	PrivatelinkZone         string `json:"privatelink_zone,omitempty"`
	UncataloguedPrivatelink string `json:"uncatalogued_privatelink,omitempty"`

	// Direct: the name itself lies in a catalogued privatelink zone. Chase: the
	// client follows a chain that it was given.
	Direct bool `json:"direct,omitempty"`
	Chase  bool `json:"chase,omitempty"`
	// PolicyRule is the rule that decided, PolicyAction what it decided.
	PolicyRule   string `json:"policy_rule"`
	PolicyAction string `json:"policy_action"`

	// Cache is where the answer came from: hit, stale, miss, shared (with others
	// who asked at the same time), failed (a failure a moment ago).
	Cache string `json:"cache,omitempty"`
	// Route is the route taken, Group the upstream group it names, Upstream the
	// server that answered and UpstreamSeconds its round trip.
	Route             string  `json:"route,omitempty"`
	Group             string  `json:"group,omitempty"`
	Upstream          string  `json:"upstream,omitempty"`
	UpstreamTransport string  `json:"upstream_transport,omitempty"`
	UpstreamSeconds   float64 `json:"upstream_duration_seconds,omitempty"`
	// Fallback is the other way the answer came: "missing" or "outage".
	Fallback string `json:"fallback,omitempty"`
	// Error is why no upstream answered.
	Error string `json:"error,omitempty"`

	// Seconds is the time from the query's arrival to the reply.
	Seconds float64 `json:"duration_seconds"`
}

// EDE is an extended DNS error (RFC 8914).
type EDE struct {
	Code uint16 `json:"code"`
	Text string `json:"text,omitempty"`
}

// AppendLine appends the record to line as one line of JSON.
func (r *Record) AppendLine(line []byte) ([]byte, error) {
	buffer := bytes.NewBuffer(line)
	encoder := json.NewEncoder(buffer)
	// The log is read with grep, not by a browser.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return line, err
	}
	return buffer.Bytes(), nil
}
