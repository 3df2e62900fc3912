package querylog

import (
	"strconv"

	"github.com/miekg/dns"
)

const (
	rcodeNoError  = dns.RcodeSuccess
	rcodeNXDomain = dns.RcodeNameError
)

// typeNames are the names of the low type numbers, which is nearly every query:
// the library's map costs six times as much to ask.
var typeNames = lowNames(dns.TypeToString)

func lowNames(names map[uint16]string) (low [288]string) {
	for number := range low {
		low[number] = names[uint16(number)]
	}
	return low
}

func appendType(line []byte, number uint16) []byte {
	if int(number) < len(typeNames) && typeNames[number] != "" {
		return append(line, typeNames[number]...)
	}
	return appendNamed(line, dns.TypeToString[number], "TYPE", number)
}

func appendClass(line []byte, number uint16) []byte {
	if number == dns.ClassINET {
		return append(line, "IN"...)
	}
	return appendNamed(line, dns.ClassToString[number], "CLASS", number)
}

func appendRcode(line []byte, number uint16) []byte {
	if number == rcodeNoError {
		return append(line, "NOERROR"...)
	}
	return appendNamed(line, dns.RcodeToString[int(number)], "RCODE", number)
}

// appendNamed writes a name, or for a number without one the generic form of RFC 3597.
func appendNamed(line []byte, name, prefix string, number uint16) []byte {
	if name != "" {
		return append(line, name...)
	}
	return strconv.AppendUint(append(line, prefix...), uint64(number), 10)
}
