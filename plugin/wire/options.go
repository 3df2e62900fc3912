package wire

import (
	"encoding/binary"
	"net/netip"
)

// The EDNS options that are read or written here.
const (
	optionClientSubnet  = 8  // RFC 7871
	optionCookie        = 10 // RFC 7873
	optionTCPKeepAlive  = 11 // RFC 7828
	optionExtendedError = 15 // RFC 8914

	firstLocalOption, lastLocalOption = 65001, 65534 // RFC 6891 section 9
)

// readOPT reads one OPT record of a query. That its owner is the root, and that
// it stands in the additional section only once, are rules of RFC 6891 section
// 6.1.
func (q *Query) readOPT(packet []byte, r record, additional, overTCP bool) error {
	switch {
	case q.EDNS:
		return ErrOptions
	case !additional || packet[r.start] != 0:
		return ErrMalformed
	}
	class := binary.BigEndian.Uint16(packet[r.fixed+2:])
	ttl := binary.BigEndian.Uint32(packet[r.fixed+4:])
	q.EDNS = true
	q.DO = ttl&flagDO != 0
	q.Size = sizeWithEDNS(class, overTCP)
	if ttl>>16&0xff != 0 {
		return ErrVersion
	}
	return q.readOptions(packet[r.data():r.end])
}

// readOptions reads the options of an OPT record. What is not known is passed
// over (RFC 6891 section 6.1.2).
func (q *Query) readOptions(options []byte) error {
	for len(options) > 0 {
		if len(options) < optionFixed {
			return ErrMalformed
		}
		code := binary.BigEndian.Uint16(options)
		length := int(binary.BigEndian.Uint16(options[2:]))
		options = options[optionFixed:]
		if length > len(options) {
			return ErrMalformed
		}
		if err := q.readOption(code, options[:length]); err != nil {
			return err
		}
		options = options[length:]
	}
	return nil
}

func (q *Query) readOption(code uint16, data []byte) error {
	switch code {
	case optionTCPKeepAlive:
		q.KeepAlive = true
	case optionClientSubnet:
		q.ClientSubnet = readSubnet(data)
	case optionCookie:
		// The client's part has 8 bytes, ours 8 to 32 if it is there (RFC 7873 section 5.2.2).
		if len(data) != 8 && (len(data) < 16 || len(data) > maxCookieSize) {
			return ErrMalformed
		}
		// Only the first counts (RFC 7873 section 5.2).
		if q.cookieLength == 0 {
			q.cookieLength = uint8(copy(q.cookie[:], data))
		}
	default:
		q.keepLocal(code, data)
	}
	return nil
}

// keepLocal keeps an option that is for local use, if there is room.
func (q *Query) keepLocal(code uint16, data []byte) {
	if code < firstLocalOption || code > lastLocalOption || optionFixed+len(data) > len(q.local)-int(q.localLength) {
		return
	}
	kept := binary.BigEndian.AppendUint16(q.local[:q.localLength], code)
	kept = binary.BigEndian.AppendUint16(kept, uint16(len(data)))
	q.localLength = uint8(len(append(kept, data...)))
}

// readSubnet reads a client subnet (RFC 7871 section 6): the family, two prefix
// lengths, and as many bytes of the address as the first of them needs. It is the
// zero value where that is not so, for it is used for nothing but a record.
func readSubnet(data []byte) netip.Prefix {
	const fixed = 4
	if len(data) < fixed {
		return netip.Prefix{}
	}
	bits, address := int(data[2]), data[fixed:]
	if len(address) != (bits+7)/8 {
		return netip.Prefix{}
	}
	var whole [16]byte
	copy(whole[:], address)
	prefix := netip.Prefix{}
	switch binary.BigEndian.Uint16(data) {
	case 1:
		prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte(whole[:4])), bits)
	case 2:
		prefix = netip.PrefixFrom(netip.AddrFrom16(whole), bits)
	}
	if !prefix.IsValid() {
		return netip.Prefix{}
	}
	return prefix.Masked()
}
