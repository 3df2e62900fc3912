package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// maxTextSize bounds an extended error's text: RFC 8914 section 2 wants it short.
const maxTextSize = 255

// opt is the OPT record of a reply.
type opt struct {
	dnssecOK      bool
	extendedRcode uint8
	options       []byte
	// failure's text is at most maxTextSize bytes.
	failure ExtendedError
}

// chooseOPT returns the fullest OPT record that fits into a room, giving up the
// extended error's text, its code and the other options in this order. It is false
// where not even a bare one fits.
func (c *composition) chooseOPT(room int) (opt, bool) {
	chosen := opt{options: c.presentation.Options, failure: c.presentation.Error}
	chosen.failure.Text = cutText(chosen.failure.Text)
	if chosen.size() > room {
		chosen.failure.Text = ""
	}
	if chosen.size() > room {
		chosen.failure = ExtendedError{}
	}
	if chosen.size() > room {
		chosen.options = nil
	}
	return chosen, chosen.size() <= room
}

// cutText cuts between characters, not in one.
func cutText(text string) string {
	if len(text) <= maxTextSize {
		return text
	}
	end := maxTextSize
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

func (o *opt) dataSize() int {
	size := len(o.options)
	if o.failure.Present {
		size += optionFixed + errorCodeSize + len(o.failure.Text)
	}
	return size
}

func (o *opt) size() int { return optSize + o.dataSize() }

func (o *opt) appendTo(buffer []byte) []byte {
	flags := uint16(0)
	if o.dnssecOK {
		flags = flagDO
	}
	buffer = append(buffer, 0)
	buffer = binary.BigEndian.AppendUint16(buffer, typeOPT)
	buffer = binary.BigEndian.AppendUint16(buffer, AdvertisedSize)
	buffer = append(buffer, o.extendedRcode, 0) // the version is 0
	buffer = binary.BigEndian.AppendUint16(buffer, flags)
	buffer = binary.BigEndian.AppendUint16(buffer, uint16(o.dataSize()))
	buffer = append(buffer, o.options...)
	if !o.failure.Present {
		return buffer
	}
	buffer = binary.BigEndian.AppendUint16(buffer, optionExtendedError)
	buffer = binary.BigEndian.AppendUint16(buffer, uint16(errorCodeSize+len(o.failure.Text)))
	buffer = binary.BigEndian.AppendUint16(buffer, o.failure.Code)
	return append(buffer, o.failure.Text...)
}
