package upstream

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// cookieLife is how long one client cookie is used (RFC 7873 section 7.1).
	cookieLife = 24 * time.Hour
	// Lengths of the two parts of a cookie (RFC 7873 section 4).
	clientCookie                    = 8
	leastServerCookie, serverCookie = 8, 32
)

// cookies are ours and the server's (RFC 7873, RFC 9018): 64 bits more for a forger to
// guess, and a proof to the server that our address is not forged. It is a value
// without a clock or lock.
type cookies struct {
	on     bool       // never changed after the first question
	source netip.Addr // the address that we ask from; another one gets another cookie
	made   time.Time
	option []byte // as it is sent; never modified, because queries on the way refer to it
	habit  habit
}

// optionFrom returns the option to send from an address, nil for none. Until a cookie
// has come back, one query tries and the others go without: there are firewalls that
// drop what they do not know.
func (c *cookies) optionFrom(source netip.Addr, now time.Time, random func() uint64) []byte {
	if !c.on || !c.habit.tested(now) {
		return nil
	}
	if c.option == nil || c.source != source || now.Sub(c.made) >= cookieLife {
		c.source, c.made = source, now
		var client [clientCookie]byte
		binary.BigEndian.PutUint64(client[:], random())
		c.option = option(dns.EDNS0COOKIE, client[:])
	}
	if c.habit.kept == 0 {
		c.habit.until = now.Add(tryAgain)
	}
	return c.option
}

// judge looks at the reply to a query that was sent with an option. It is not ours
// where it has another client's cookie (RFC 7873 section 5.3); it is not to be believed
// where it has none and the server's replies always had one. A FORMERR without a cookie
// may be about the cookie, so it is not believed either.
func (c *cookies) judge(reply, sent []byte, now time.Time) (ours, believed bool) {
	found, ok := findOption(reply, dns.EDNS0COOKIE)
	if !ok {
		believed = c.habit.judge(false, now)
		formerr := binary.BigEndian.Uint16(reply[2:])&rcodeMask == dns.RcodeFormatError
		return true, believed && !(formerr && hasOPT(reply))
	}
	client := sent[optionHeader : optionHeader+clientCookie]
	if !bytes.HasPrefix(found, client) {
		return false, false
	}
	c.habit.judge(true, now)
	server := len(found) - clientCookie
	if current := bytes.HasPrefix(c.option[optionHeader:], client); current && leastServerCookie <= server && server <= serverCookie && !bytes.Equal(found, c.option[optionHeader:]) {
		c.option = option(dns.EDNS0COOKIE, found)
	}
	return true, true
}

// sourceOf returns the address that a socket sends from, the zero address where it has
// none.
func sourceOf(conn net.Conn) netip.Addr {
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		return local.AddrPort().Addr()
	}
	return netip.Addr{}
}
