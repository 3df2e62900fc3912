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
// It looks at eight bytes at a time, at the last ones twice where they are fewer.
func isPlain(text []byte) bool {
	if len(text) < 8 {
		for _, character := range text {
			if character < ' ' || character >= 0x7f || character == '"' || character == '\\' {
				return false
			}
		}
		return true
	}
	last := len(text) - 8
	for start := 0; start < last; start += 8 {
		if !isPlainWord(binary.LittleEndian.Uint64(text[start:])) {
			return false
		}
	}
	return isPlainWord(binary.LittleEndian.Uint64(text[last:]))
}

// isPlainWord: each term has a high bit set where a byte is beyond ASCII, less
// than a space, or was made zero; below the first such byte all terms are exact.
func isPlainWord(word uint64) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	quote, backslash, del := word^('"'*ones), word^('\\'*ones), word^(0x7f*ones)
	return (word|(word-' '*ones)|(quote-ones)|(backslash-ones)|(del-ones))&highs == 0
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

// secondLength is the length of a time without its fraction.
const secondLength = len("2006-01-02T15:04:05")

// clock remembers the second that was written last. It is for one goroutine.
type clock struct {
	second int64
	// text is the second as it is written, up to the point; zeros at first.
	text [secondLength]byte
}

// appendTime writes a time in UTC with microseconds, always of the same length,
// so that lines sort. Years beyond four digits, which RFC 3339 does not have,
// are written as the nearest that it has.
func (c *clock) appendTime(line []byte, t time.Time) []byte {
	if second := t.Unix(); second != c.second || c.text[0] == 0 {
		c.second = second
		appendSecond(c.text[:0], t.UTC())
	}
	line = appendMicroseconds(append(line, c.text[:]...), t.Nanosecond()/1000)
	return append(line, 'Z')
}

func appendSecond(text []byte, t time.Time) {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	year = min(max(year, 0), 9999)
	text = append(appendPair(appendPair(text, year/100), year%100), '-')
	text = append(appendPair(text, int(month)), '-')
	text = append(appendPair(text, day), 'T')
	text = append(appendPair(text, hour), ':')
	text = append(appendPair(text, minute), ':')
	appendPair(text, second)
}

// appendSeconds writes a duration in seconds, to the microsecond. A negative
// one, from a clock that was set back, is zero.
func appendSeconds(line []byte, d time.Duration) []byte {
	microseconds := int64(max(d, 0).Round(time.Microsecond) / time.Microsecond)
	if microseconds < 1_000_000 {
		return appendMicroseconds(append(line, '0'), int(microseconds))
	}
	line = strconv.AppendInt(line, microseconds/1_000_000, 10)
	return appendMicroseconds(line, int(microseconds%1_000_000))
}

// appendMicroseconds writes the fraction of a second, point and six digits.
func appendMicroseconds(line []byte, number int) []byte {
	line = appendPair(append(line, '.'), number/10_000)
	return appendPair(appendPair(line, number/100%100), number%100)
}

// appendPair writes two digits of a number below 100.
func appendPair(line []byte, number int) []byte {
	return append(line, byte('0'+number/10), byte('0'+number%10))
}
