//go:build linux

package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// ttlSlack is what two servers may differ by in a TTL, beside the time between their
// replies: they tell whole seconds.
const ttlSlack = 2 * time.Second

// maxReply is the most that the fast path sends, whatever the client takes. CoreDNS's
// writer does not compress what the client takes as it is, and so may send more.
const maxReply = 1232

// differences compares two replies after parsing: all that a client can see.
func differences(r *answered) []string {
	q, fast, slow := r.question, r.fast, r.slow
	switch {
	case fast == nil && slow == nil:
		return nil
	case fast == nil:
		return []string{"no reply, the other replies " + describe(slow)}
	case slow == nil:
		return []string{"a reply, the other is silent: " + describe(fast)}
	case string(fast) == hungUp && string(slow) == hungUp:
		return nil
	case string(fast) == hungUp || string(slow) == hungUp:
		return []string{fmt.Sprintf("%s, the other %s", describe(fast), describe(slow))}
	}
	var found []string
	if limit := limitOf(q.packet); !r.overTCP && (len(fast) > min(limit, maxReply) || len(slow) > limit) {
		found = append(found, fmt.Sprintf("%d bytes, the other %d, where the client takes %d", len(fast), len(slow), limit))
	}
	var one, other dns.Msg
	if err := one.Unpack(fast); err != nil {
		return append(found, fmt.Sprintf("cannot be read: %v: %x", err, fast))
	}
	if err := other.Unpack(slow); err != nil {
		return append(found, fmt.Sprintf("the other cannot be read: %v: %x", err, slow))
	}
	found = append(found, compareHeads(fast, slow)...)
	for _, section := range []struct {
		name       string
		one, other []dns.RR
	}{{"answer", one.Answer, other.Answer}, {"authority", one.Ns, other.Ns}, {"additional", withoutOPT(one.Extra), withoutOPT(other.Extra)}} {
		found = append(found, compareRecords(section.name, section.one, section.other, r.apart)...)
	}
	return append(found, compareOPT(q, one.IsEdns0(), other.IsEdns0())...)
}

// hungUp stands for the end of a connection in place of a reply.
const hungUp = "hung up"

func describe(packet []byte) string {
	var m dns.Msg
	if string(packet) == hungUp {
		return hungUp
	}
	if err := m.Unpack(packet); err != nil {
		return fmt.Sprintf("%x", packet)
	}
	return fmt.Sprintf("%s %x", dns.RcodeToString[m.Rcode], packet)
}

// limitOf is the longest reply that a client takes.
func limitOf(packet []byte) int { return max(dns.MinMsgSize, shapeOf(packet).size) }

// compareHeads compares the headers and the question sections, octet by octet; the
// number of records is compared with the records.
func compareHeads(fast, slow []byte) (found []string) {
	if !bytes.Equal(fast[:4], slow[:4]) {
		found = append(found, fmt.Sprintf("header %x, the other %x", fast[:4], slow[:4]))
	}
	one, other := questionSection(fast), questionSection(slow)
	if !bytes.Equal(one, other) {
		found = append(found, fmt.Sprintf("question %x, the other %x", one, other))
	}
	return found
}

func questionSection(packet []byte) []byte {
	if packet[5] != 1 {
		return nil
	}
	end, _ := skipName(packet, 12)
	return packet[12 : end+4]
}

func withoutOPT(records []dns.RR) []dns.RR {
	return slices.DeleteFunc(slices.Clone(records), func(record dns.RR) bool { return record.Header().Rrtype == dns.TypeOPT })
}

// compareRecords compares records in their order, with the spelling of their owners.
func compareRecords(section string, one, other []dns.RR, apart time.Duration) (found []string) {
	if len(one) != len(other) {
		return []string{fmt.Sprintf("%d records in the %s section, the other %d: %v, %v", len(one), section, len(other), one, other)}
	}
	for i := range one {
		first, second := dns.Copy(one[i]), dns.Copy(other[i])
		difference := time.Duration(int64(first.Header().Ttl)-int64(second.Header().Ttl)) * time.Second
		first.Header().Ttl, second.Header().Ttl = 0, 0
		if first.String() != second.String() {
			found = append(found, fmt.Sprintf("%s record %q, the other %q", section, first, second))
		}
		if difference.Abs() > ttlSlack+apart {
			found = append(found, fmt.Sprintf("TTL %d of %q, the other %d", one[i].Header().Ttl, first, other[i].Header().Ttl))
		}
	}
	return found
}

// compareOPT compares OPT records. The size in them need not be the same: we tell our
// own, as RFC 6891 section 6.2.3 has it, where CoreDNS's writer repeats the client's.
func compareOPT(q question, one, other *dns.OPT) (found []string) {
	if one == nil || other == nil {
		if one != other {
			found = append(found, fmt.Sprintf("OPT record %v, the other %v", one, other))
		}
		return found
	}
	if one.UDPSize() != maxReply && one.UDPSize() != other.UDPSize() {
		found = append(found, fmt.Sprintf("size %d in the OPT record, want %d", one.UDPSize(), maxReply))
	}
	if one.Hdr.Ttl != other.Hdr.Ttl || one.Hdr.Name != other.Hdr.Name {
		found = append(found, fmt.Sprintf("OPT record %q %08x, the other %q %08x", one.Hdr.Name, one.Hdr.Ttl, other.Hdr.Name, other.Hdr.Ttl))
	}
	first, second := tellOptions(one), tellOptions(other)
	if isDead(q) {
		first, second = withoutTexts(first), withoutTexts(second)
	}
	if !slices.Equal(first, second) {
		found = append(found, fmt.Sprintf("options %q, the other %q", first, second))
	}
	return found
}

// tellOptions writes options down; of a server cookie only that it is there, for it
// holds a secret of the server's.
func tellOptions(opt *dns.OPT) (told []string) {
	for _, o := range opt.Option {
		text := fmt.Sprintf("%d %s", o.Option(), o)
		if cookie, is := o.(*dns.EDNS0_COOKIE); is && len(cookie.Cookie) > 16 {
			text = fmt.Sprintf("cookie %s and %d octets", cookie.Cookie[:16], len(cookie.Cookie)/2-8)
		}
		told = append(told, text)
	}
	return told
}

// isDead reports whether a question goes to the upstream that is not there: what is
// said of why not depends on when the prober last looked.
func isDead(q question) bool {
	return bytes.Contains(bytes.ToLower(q.packet), labelsOf(dead))
}

func withoutTexts(options []string) (short []string) {
	for _, o := range options {
		code, _, _ := strings.Cut(o, ":")
		short = append(short, code)
	}
	return short
}
