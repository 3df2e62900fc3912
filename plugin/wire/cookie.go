package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/dchest/siphash"
)

// Cookies makes and knows server cookies (RFC 9018). They are made from the client's
// part, its address, the time and a secret, so nothing is kept for a client. It is
// safe for concurrent use.
type Cookies struct {
	// Secret is shared by all servers that answer at one address (RFC 9018 section
	// 4.4). It must be random.
	Secret [16]byte
	// Previous is another secret that cookies may be made with, for the time in which
	// not all servers make them with the same (RFC 9018 section 5); nil for none.
	Previous *[16]byte
}

const (
	clientCookieSize = 8
	serverCookieSize = 16
	cookieVersion    = 1
	// A cookie is believed for an hour, and made in the future by up to five minutes,
	// for other servers' clocks (RFC 9018 section 4.3).
	cookieLife, cookieAhead = time.Hour, 5 * time.Minute
)

// AppendOption appends the COOKIE option that answers a query's, and nothing where
// the query has none. It allocates nothing where the buffer has room for 28 bytes.
func (c *Cookies) AppendOption(buffer []byte, q *Query, client netip.Addr, now time.Time) []byte {
	if len(q.Cookie()) < clientCookieSize {
		return buffer
	}
	var cookie [clientCookieSize + serverCookieSize]byte
	copy(cookie[:], q.Cookie()[:clientCookieSize])
	cookie[clientCookieSize] = cookieVersion
	binary.BigEndian.PutUint32(cookie[clientCookieSize+4:], uint32(now.Unix()))
	binary.LittleEndian.PutUint64(cookie[clientCookieSize+8:], cookieHash(&c.Secret, cookie[:clientCookieSize+8], client))
	buffer = binary.BigEndian.AppendUint16(buffer, optionCookie)
	buffer = binary.BigEndian.AppendUint16(buffer, uint16(len(cookie)))
	return append(buffer, cookie[:]...)
}

// Valid reports whether a query comes from whom we sent a cookie to lately, and so
// whether its source address is its own.
func (c *Cookies) Valid(q *Query, client netip.Addr, now time.Time) bool {
	cookie := q.Cookie()
	if len(cookie) != clientCookieSize+serverCookieSize || !bytes.Equal(cookie[clientCookieSize:clientCookieSize+4], []byte{cookieVersion, 0, 0, 0}) {
		return false
	}
	// Serial number arithmetic (RFC 1982): the clock of cookies turns over.
	age := time.Duration(int32(uint32(now.Unix())-binary.BigEndian.Uint32(cookie[clientCookieSize+4:]))) * time.Second
	if age > cookieLife || age < -cookieAhead {
		return false
	}
	made := binary.LittleEndian.Uint64(cookie[clientCookieSize+8:])
	return made == cookieHash(&c.Secret, cookie[:clientCookieSize+8], client) ||
		c.Previous != nil && made == cookieHash(c.Previous, cookie[:clientCookieSize+8], client)
}

// cookieHash is SipHash-2-4 of the cookie up to the hash and the client's address.
func cookieHash(secret *[16]byte, cookie []byte, client netip.Addr) uint64 {
	var text [clientCookieSize + 8 + 16]byte
	length := copy(text[:], cookie)
	client = client.Unmap()
	if client.Is4() {
		address := client.As4()
		length += copy(text[length:], address[:])
	} else {
		address := client.As16()
		length += copy(text[length:], address[:])
	}
	return siphash.Hash(binary.LittleEndian.Uint64(secret[:8]), binary.LittleEndian.Uint64(secret[8:]), text[:length])
}

// AppendKeepAlive appends the edns-tcp-keepalive option that answers a query's over a
// stream, and nothing where the query has none (RFC 7828 section 3.3.2). The time is
// how long an idle connection stays open, told in tenths of a second.
func AppendKeepAlive(buffer []byte, q *Query, idle time.Duration) []byte {
	if !q.KeepAlive {
		return buffer
	}
	buffer = binary.BigEndian.AppendUint16(buffer, optionTCPKeepAlive)
	buffer = binary.BigEndian.AppendUint16(buffer, 2)
	return binary.BigEndian.AppendUint16(buffer, uint16(min(idle/(100*time.Millisecond), 1<<16-1)))
}
