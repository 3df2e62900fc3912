package querylog

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerLength = 12
	// recordHead is the length of a record without its name and data.
	recordHead = 10
	// questionTail is the length of a question without its name.
	questionTail = 4
	maxLabel     = 63
)

// appendWithoutOptions appends a DNS message without its OPT record. Where the
// message cannot be read to its end, or OPT is not its last record (RFC 8945
// puts TSIG there), it appends nothing: half a message helps nobody.
func appendWithoutOptions(buffer, message []byte) []byte {
	at := afterQuestions(message)
	if at < 0 {
		return buffer
	}
	additional := sixteen(message, 10)
	end := len(message)
	for left := sixteen(message, 6) + sixteen(message, 8) + additional; left > 0; left-- {
		name := afterName(message, at)
		next := afterRecord(message, name)
		if next < 0 {
			return buffer
		}
		if sixteen(message, name) == int(dns.TypeOPT) {
			if left != 1 || additional == 0 {
				return buffer
			}
			end, additional = at, additional-1
		}
		at = next
	}
	if at != len(message) {
		return buffer
	}
	first := len(buffer)
	buffer = append(buffer, message[:end]...)
	binary.BigEndian.PutUint16(buffer[first+10:], uint16(additional))
	return buffer
}

// sixteen reads the number of 16 bits at a place that is in the message.
func sixteen(message []byte, place int) int { return int(binary.BigEndian.Uint16(message[place:])) }

// afterQuestions is where the first record begins; negative where the message
// ends before.
func afterQuestions(message []byte) int {
	if len(message) < headerLength {
		return -1
	}
	at := headerLength
	for range sixteen(message, 4) {
		name := afterName(message, at)
		if at = name + questionTail; name < 0 || at > len(message) {
			return -1
		}
	}
	return at
}

// afterRecord is where the record ends whose name ends at a place; negative
// where it does not.
func afterRecord(message []byte, name int) int {
	if name < 0 || name+recordHead > len(message) {
		return -1
	}
	end := name + recordHead + sixteen(message, name+8)
	if end > len(message) {
		return -1
	}
	return end
}

// afterName is where the name at a place ends; negative where it does not.
func afterName(message []byte, at int) int {
	for at < len(message) {
		length := int(message[at])
		switch {
		case length == 0:
			return at + 1
		case length >= 0xc0:
			return at + 2 // a pointer ends a name
		case length > maxLabel:
			return -1
		}
		at += 1 + length
	}
	return -1
}
