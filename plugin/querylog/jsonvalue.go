package querylog

import (
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendQuoted writes text as a JSON string. Nearly every text needs no
// escaping, so it is copied first and looked at after.
func appendQuoted(line []byte, text string) []byte {
	line = append(line, '"')
	start := len(line)
	line = append(line, text...)
	if !isPlain(line[start:]) {
		line = appendEscaped(line[:start], text)
	}
	return append(line, '"')
}

// isPlain reports whether every byte is printable ASCII that JSON takes as it is.
// It looks at eight bytes at a time.
func isPlain(text []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for len(text) >= 8 {
		word := binary.LittleEndian.Uint64(text)
		quote, backslash, del := word^('"'*ones), word^('\\'*ones), word^(0x7f*ones)
		// Each term has a high bit set where a byte is less than a space, or
		// was made zero; below the first such byte, all terms are exact.
		if (word|(word-' '*ones)|(quote-ones)|(backslash-ones)|(del-ones))&highs != 0 {
			return false
		}
		text = text[8:]
	}
	for _, character := range text {
		if character < ' ' || character >= 0x7f || character == '"' || character == '\\' {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// appendEscaped writes the inside of a JSON string. DEL, the C1 controls and the
// line separators of Unicode are valid in JSON, but they move a terminal's
// cursor or end a line for some readers.
func appendEscaped(line []byte, text string) []byte {
	for _, character := range text {
		switch {
		case character == '"' || character == '\\':
			line = append(line, '\\', byte(character))
		case character < ' ' || character >= 0x7f && character < 0xa0 || character == '\u2028' || character == '\u2029':
			line = append(line, '\\', 'u', hexDigits[character>>12], hexDigits[character>>8&15], hexDigits[character>>4&15], hexDigits[character&15])
		default:
			// Ranging over a string makes U+FFFD of each byte that is not UTF-8.
			line = utf8.AppendRune(line, character)
		}
	}
	return line
}

// cut returns the first maxText bytes of text, whole characters only.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// appendTime writes a time in UTC with microseconds, always of the same length,
// so that lines sort. Years beyond four digits, which RFC 3339 does not have,
// are written as the nearest that it has.
func appendTime(line []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	year = min(max(year, 0), 9999)
	line = appendPadded(line, year, 4)
	line = appendPadded(append(line, '-'), int(month), 2)
	line = appendPadded(append(line, '-'), day, 2)
	line = appendPadded(append(line, 'T'), hour, 2)
	line = appendPadded(append(line, ':'), minute, 2)
	line = appendPadded(append(line, ':'), second, 2)
	line = appendPadded(append(line, '.'), t.Nanosecond()/1000, 6)
	return append(line, 'Z')
}

// appendSeconds writes a duration in seconds, to the microsecond. A negative
// one, from a clock that was set back, is zero.
func appendSeconds(line []byte, d time.Duration) []byte {
	microseconds := int64(max(d, 0).Round(time.Microsecond) / time.Microsecond)
	line = strconv.AppendInt(line, microseconds/1_000_000, 10)
	return appendPadded(append(line, '.'), int(microseconds%1_000_000), 6)
}

// appendPadded writes a number that is not negative with leading zeros.
func appendPadded(line []byte, number, width int) []byte {
	for range width {
		line = append(line, '0')
	}
	for place := len(line) - 1; number > 0; place-- {
		line[place] = byte('0' + number%10)
		number /= 10
	}
	return line
}
