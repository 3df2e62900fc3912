package upstream

import (
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// What a reply says of its errors is handed on to clients and into logs, so a server
// must not make it long.
const (
	mostErrors    = 4
	mostErrorText = 128
)

// extendedErrors returns the extended DNS errors of an OPT record, which may be nil.
func extendedErrors(opt *dns.OPT) []dns.EDNS0_EDE {
	if opt == nil {
		return nil
	}
	var list []dns.EDNS0_EDE
	for _, option := range opt.Option {
		if e, ok := option.(*dns.EDNS0_EDE); ok && len(list) < mostErrors {
			list = append(list, dns.EDNS0_EDE{InfoCode: e.InfoCode, ExtraText: errorText(e.ExtraText)})
		}
	}
	return list
}

// errorText bounds a text at the end of a character, and leaves out what is not UTF-8
// (RFC 8914 section 2) and the zero that some servers end it with.
func errorText(text string) string {
	text = strings.TrimRight(strings.ToValidUTF8(text, ""), "\x00")
	end := min(len(text), mostErrorText)
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end])
}
