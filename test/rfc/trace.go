//go:build linux

package rfc

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// mostLines and mostBytes bound what is kept of a check's packets.
	mostLines = 60
	mostBytes = 24
)

// trace is what went over the wire in a check, for people.
type trace struct {
	mutex sync.Mutex
	start time.Time
	lines []string
}

func (t *trace) add(format string, arguments ...any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.start.IsZero() {
		t.start = time.Now()
	}
	if len(t.lines) < mostLines {
		t.lines = append(t.lines, fmt.Sprintf("%6d ms ", time.Since(t.start).Milliseconds())+fmt.Sprintf(format, arguments...))
	}
}

func (t *trace) packet(direction string, overTCP bool, packet []byte) {
	t.add("%s %s: %s", direction, transport(overTCP), describe(packet))
}

// sent notes what a client writes; over TCP it may be any piece of a stream.
func (t *trace) sent(overTCP bool, bytes []byte) {
	if overTCP && len(bytes) >= 2 && int(bytes[0])<<8|int(bytes[1]) == len(bytes)-2 {
		bytes = bytes[2:]
	}
	t.packet("client > subject", overTCP, bytes)
}

func transport(overTCP bool) string {
	if overTCP {
		return "tcp"
	}
	return "udp"
}

// String returns all lines.
func (t *trace) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return strings.Join(t.lines, "\n")
}

// describe makes one line of a message.
func describe(packet []byte) string {
	m, err := read(packet)
	if err != nil {
		return fmt.Sprintf("%d bytes %s (%v)", len(packet), shortened(packet), err)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%d bytes id=%d %s %s%s", len(packet), m.id, dns.OpcodeToString[m.opcode()], rcodeName(m.rcode()), flagNames(m.flags))
	for _, q := range m.questions {
		fmt.Fprintf(&line, " | %s %s %s", q.name, dns.Class(q.qclass), dns.Type(q.qtype))
	}
	for section, list := range m.sections {
		for _, r := range list {
			fmt.Fprintf(&line, " | %s: %s", [3]string{"an", "ns", "ar"}[section], r)
		}
	}
	if m.trailing > 0 {
		fmt.Fprintf(&line, " | %d bytes behind", m.trailing)
	}
	return line.String()
}

// String returns a record's line.
func (r record) String() string {
	if r.rtype == dns.TypeOPT {
		return fmt.Sprintf("OPT size=%d version=%d flags=%04x options=%s", r.class, r.ttl>>16&0xff, r.ttl&0xffff, shortened(r.data))
	}
	return fmt.Sprintf("%s %d %s %s", r.owner, r.ttl, dns.Type(r.rtype), shortened(r.full))
}

func shortened(bytes []byte) string {
	if len(bytes) <= mostBytes {
		return fmt.Sprintf("%x", bytes)
	}
	return fmt.Sprintf("%x… (%d bytes)", bytes[:mostBytes], len(bytes))
}

func rcodeName(rcode int) string {
	if text, known := dns.RcodeToString[rcode]; known {
		return text
	}
	return fmt.Sprintf("RCODE%d", rcode)
}

func flagNames(flags uint16) string {
	text := ""
	for _, flag := range []struct {
		bit  uint16
		name string
	}{{flagQR, "qr"}, {flagAA, "aa"}, {flagTC, "tc"}, {flagRD, "rd"}, {flagRA, "ra"}, {flagZ, "z"}, {flagAD, "ad"}, {flagCD, "cd"}} {
		if flags&flag.bit != 0 {
			text += " " + flag.name
		}
	}
	return text
}
