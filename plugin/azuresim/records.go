package azuresim

import (
	"io"
	"strings"

	"github.com/miekg/dns"
	"gopkg.in/yaml.v3"
)

// records reads zone-file text (RFC 1035, section 5) into z; ttl is for
// records before the first that states one. n may be nil: no records.
func (b *builder) records(n *yaml.Node, z *zone, ttl uint32) {
	if n == nil {
		return
	}
	text := b.text(n, "records in zone-file text")
	first := n.Line
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle:
		first++ // the text starts below the "|"
	case yaml.FoldedStyle:
		b.report(n.Line, "found folded text (>), expected literal text (|)")
		return
	}
	if line, ok := bareGenerate(text); ok {
		b.report(first+line, "found $GENERATE without a TTL, expected one after the name")
		return
	}
	lines := &lineCounter{text: text}
	parser := dns.NewZoneParser(lines, z.origin, "")
	parser.SetDefaultTTL(ttl)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		b.add(first+lines.line(), z, rr)
		if b.room < 0 {
			return
		}
	}
	if err := parser.Err(); err != nil {
		// The parser's own position counts from the start of the text.
		message, _, _ := strings.Cut(err.Error(), " at line: ")
		message = strings.TrimPrefix(strings.TrimPrefix(message, ": "), "dns: ")
		b.report(first+lines.line(), "found %s, expected a record as in a zone file", message)
	}
}

// add puts a record into a zone, within the world's bounds.
func (b *builder) add(line int, z *zone, rr dns.RR) {
	b.room--
	if b.room == -1 {
		b.report(line, "found too many records, expected %d at most in a world", maxRecords)
	}
	if b.room < 0 {
		return
	}
	if err := z.add(rr); err != nil {
		b.report(line, "%w", err)
	}
}

// bareGenerate finds a $GENERATE line, counted from 0, that states no TTL.
// The zone parser would give its records 3600 s, whatever the zone's default.
func bareGenerate(text string) (int, bool) {
	number := 0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.EqualFold(fields[0], "$GENERATE") {
			ttl := fields[3]
			if strings.EqualFold(ttl, "IN") {
				ttl = fields[4]
			}
			if ttl[0] < '0' || ttl[0] > '9' {
				return number, true
			}
		}
		number++
	}
	return 0, false
}

// lineCounter hands text to the zone parser byte by byte and knows on which
// line it is. The parser uses a ByteReader as it is, without reading ahead.
type lineCounter struct {
	text     string
	offset   int
	newlines int
}

// ReadByte implements io.ByteReader.
func (c *lineCounter) ReadByte() (byte, error) {
	if c.offset == len(c.text) {
		return 0, io.EOF
	}
	next := c.text[c.offset]
	c.offset++
	if next == '\n' {
		c.newlines++
	}
	return next, nil
}

// Read implements io.Reader.
func (c *lineCounter) Read(into []byte) (int, error) {
	for i := range into {
		next, err := c.ReadByte()
		if err != nil {
			return i, err
		}
		into[i] = next
	}
	return len(into), nil
}

// line returns the line, counted from 0, of what was read last.
func (c *lineCounter) line() int {
	if c.offset > 0 && c.text[c.offset-1] == '\n' {
		return c.newlines - 1
	}
	return c.newlines
}
