package querylog

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerLength = 12
	// recordHead is the length of a record without its name and data.
	recordHead = 10
	maxLabel   = 63
)

// appendWithoutOptions appends a DNS message without its OPT record. Where the
// message cannot be read to its end, or OPT is not its last record (RFC 8945
// puts TSIG there), it appends nothing: half a message helps nobody.
func appendWithoutOptions(buffer, message []byte) []byte {
	if len(message) < headerLength {
		return buffer
	}
	count := func(place int) int { return int(binary.BigEndian.Uint16(message[place:])) }
	at, additional := headerLength, count(10)
	for range count(4) {
		if at = afterName(message, at) + 4; at < 4 || at > len(message) {
			return buffer
		}
	}
	end := len(message)
	for number := count(6) + count(8) + additional; number > 0; number-- {
		start, name := at, afterName(message, at)
		if name < 0 || name+recordHead > len(message) {
			return buffer
		}
		at = name + recordHead + count(name+8)
		if at > len(message) {
			return buffer
		}
		if count(name) == int(dns.TypeOPT) {
			if number != 1 || additional == 0 {
				return buffer
			}
			end, additional = start, additional-1
		}
	}
	if at != len(message) {
		return buffer
	}
	first := len(buffer)
	buffer = append(buffer, message[:end]...)
	binary.BigEndian.PutUint16(buffer[first+10:], uint16(additional))
	return buffer
}

// afterName is where the name at a place ends; negative where it does not.
func afterName(message []byte, at int) int {
	for at >= 0 && at < len(message) {
		length := int(message[at])
		switch {
		case length == 0:
			return at + 1
		case length >= 0xc0:
			return at + 2 // a pointer ends a name
		case length > maxLabel:
			return -recordHead
		}
		at += 1 + length
	}
	return -recordHead // so that a sum with it stays negative
}
