// Package override keeps an operator's own answers to exact names, for a time:
// the way out when what DNS says is wrong and nobody can mend it now.
//
// It knows names, addresses, the end of an override, who made it and why, and the
// file that carries overrides over a restart. It knows nothing of routes, caches,
// policy, CoreDNS or logs; whether an upstream group exists is for the caller to say.
package override

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Override is what one name is answered with until it expires. Exactly one of
// addresses, CNAME and Group is set. An Override that the store returned is shared:
// it must not be changed.
type Override struct {
	// Name is lower case and fully qualified, in presentation form. Only this name
	// is meant, and none below it.
	Name string `json:"name"`
	// A and AAAA are the addresses; one of them may be empty. Questions for other
	// types than those given have no data (NODATA), so that a client with both
	// protocols does not get around the override.
	A    []netip.Addr `json:"a,omitempty"`
	AAAA []netip.Addr `json:"aaaa,omitempty"`
	// CNAME is the name that answers instead, lower case and fully qualified.
	CNAME string `json:"cname,omitempty"`
	// Group is the upstream group that is asked in place of the name's route.
	Group string `json:"group,omitempty"`
	// Reason and Who are one line each, MaxReason and MaxWho bytes at most.
	Reason string `json:"reason"`
	Who    string `json:"who"`
	// Created and Expires are UTC, in whole seconds, on the wall clock as it was when
	// the override was made; List tells them on that of its own time.
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// ends is Expires with a monotonic reading: whoever sets the wall clock neither ends an
	// override nor prolongs it. Zero where nobody has called lasts.
	ends time.Time
}

// maxTTL, in seconds, is how long a client may keep an override: removing one
// must work soon.
const maxTTL = 30

// lasts notes when the override ends, now that the wall clock shows a time.
func (o *Override) lasts(now time.Time) { o.ends = now.Add(o.Expires.Sub(now)) }

// left is how long the override is still in force.
func (o *Override) left(now time.Time) time.Duration {
	if o.ends.IsZero() {
		return o.Expires.Sub(now)
	}
	return o.ends.Sub(now)
}

// told returns a copy with the times as the wall clock that shows now would have them:
// who reads them compares them with that, in a list as in the file. Its duration and
// what is left of it are the same.
func (o *Override) told(now time.Time) *Override {
	shift := now.Round(0).Add(o.left(now)).Sub(o.Expires).Round(time.Second)
	c := *o
	c.Created, c.Expires = o.Created.Add(shift), o.Expires.Add(shift)
	return &c
}

// TTL is the TTL, in seconds, that the override is told with: what is left of it,
// 30 at most and 1 at least.
func (o *Override) TTL(now time.Time) uint32 {
	return uint32(max(1, min(maxTTL, o.left(now)/time.Second)))
}

// Records returns the answer to a question of class IN for the override's name. It
// is empty where the answer is NODATA, and for an override with a Group, whose
// answer somebody else knows. A CNAME answers every type; what its target has is to
// be added. The records are the caller's.
func (o *Override) Records(qtype uint16, now time.Time) []dns.RR {
	header := dns.RR_Header{Name: o.Name, Class: dns.ClassINET, Ttl: o.TTL(now)}
	var records []dns.RR
	if o.CNAME != "" {
		header.Rrtype = dns.TypeCNAME
		return append(records, &dns.CNAME{Hdr: header, Target: o.CNAME})
	}
	if qtype == dns.TypeA || qtype == dns.TypeANY {
		header.Rrtype = dns.TypeA
		for _, address := range o.A {
			records = append(records, &dns.A{Hdr: header, A: address.AsSlice()})
		}
	}
	if qtype == dns.TypeAAAA || qtype == dns.TypeANY {
		header.Rrtype = dns.TypeAAAA
		for _, address := range o.AAAA {
			records = append(records, &dns.AAAA{Hdr: header, AAAA: address.AsSlice()})
		}
	}
	return records
}

// Explanation is what clients are told with the answer, in an extended DNS error:
// "override by WHO: REASON, until TIME", with TIME on the wall clock that shows now. It
// has 240 bytes at most.
func (o *Override) Explanation(now time.Time) string {
	return fmt.Sprintf("override by %s: %s, until %s", o.Who, o.Reason, o.told(now).Expires.Format(time.RFC3339))
}

// Answer is the answer on one line, as an operator writes it: "A 10.0.2.4",
// "A 10.0.2.4 10.0.2.5, AAAA fd00::4", "CNAME db2.example.", "resolve public".
func (o *Override) Answer() string {
	switch {
	case o.Group != "":
		return TypeResolve + " " + o.Group
	case o.CNAME != "":
		return TypeCNAME + " " + o.CNAME
	}
	var parts []string
	if len(o.A) > 0 {
		parts = append(parts, TypeA+" "+join(o.A))
	}
	if len(o.AAAA) > 0 {
		parts = append(parts, TypeAAAA+" "+join(o.AAAA))
	}
	return strings.Join(parts, ", ")
}

func join(addresses []netip.Addr) string {
	written := make([]string, 0, len(addresses))
	for _, address := range addresses {
		written = append(written, address.String())
	}
	return strings.Join(written, " ")
}

// live reports whether the override has not expired.
func (o *Override) live(now time.Time) bool { return o.left(now) > 0 }

// withAddressesOf adds the addresses of the family that o has none of: A and AAAA
// of a name stand beside each other.
func (o *Override) withAddressesOf(other *Override) {
	switch {
	case o.CNAME != "" || o.Group != "":
	case len(o.A) == 0:
		o.A = slices.Clone(other.A)
	case len(o.AAAA) == 0:
		o.AAAA = slices.Clone(other.AAAA)
	}
}
