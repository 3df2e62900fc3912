package upstream

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// optionHeader is the size of an EDNS option's code and length (RFC 6891 section
// 6.1.2).
const optionHeader = 4

// option composes an EDNS option.
func option(code uint16, data []byte) []byte {
	wire := make([]byte, 0, optionHeader+len(data))
	wire = binary.BigEndian.AppendUint16(wire, code)
	wire = binary.BigEndian.AppendUint16(wire, uint16(len(data)))
	return append(wire, data...)
}

// findOption returns the data of a message's first option of a kind, and false where
// there is none or the message cannot be read as far as that.
func findOption(wire []byte, code uint16) (data []byte, found bool) {
	rest := options(wire)
	for len(rest) >= optionHeader {
		end := optionHeader + int(binary.BigEndian.Uint16(rest[2:]))
		if end > len(rest) {
			return nil, false
		}
		if binary.BigEndian.Uint16(rest) == code {
			return rest[optionHeader:end], true
		}
		rest = rest[end:]
	}
	return nil, false
}

// hasOPT reports whether a message has an OPT record.
func hasOPT(wire []byte) bool { return options(wire) != nil }

// options returns the data of a message's first OPT record, not nil where there is one.
func options(wire []byte) []byte {
	if len(wire) < headerSize {
		return nil
	}
	at := headerSize
	for range binary.BigEndian.Uint16(wire[4:]) {
		at = skipName(wire, at) + typeAndClass
	}
	before := int(binary.BigEndian.Uint16(wire[6:])) + int(binary.BigEndian.Uint16(wire[8:]))
	records := before + int(binary.BigEndian.Uint16(wire[10:]))
	for i := range records {
		start := at
		if at = skipRecord(wire, at); at > len(wire) {
			return nil
		}
		// Its owner is the root (RFC 6891 section 6.1.2).
		if i >= before && wire[start] == 0 && binary.BigEndian.Uint16(wire[start+1:]) == dns.TypeOPT {
			return wire[start+optSize : at]
		}
	}
	return nil
}
