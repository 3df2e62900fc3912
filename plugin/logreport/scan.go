package logreport

import (
	"bytes"
	"encoding/binary"
)

// reader reads the value of a field, which starts at a place of the line, into
// the record. It returns the place after the value, or a negative one where the
// value is not in the plain form that the log writes.
type reader func(line []byte, at int, r *record) int

// column is a field of the log's lines.
type column struct {
	key  string
	read reader
}

// layout returns the fields in the order in which lines have them: so the next
// key is nearly always one of the next columns.
func layout() []column {
	text := func(field textField) reader {
		return func(line []byte, at int, r *record) (end int) {
			r.text[field], end = scanText(line, at)
			return end
		}
	}
	texts := func(field textField) reader {
		return func(line []byte, at int, r *record) (end int) {
			r.text[field], end = scanTexts(line, at)
			return end
		}
	}
	return []column{
		{"time", scanTime},
		{"schema", func(line []byte, at int, r *record) (end int) { r.schema, end = scanInteger(line, at); return end }},
		{"instance", skip},
		{"sample", func(line []byte, at int, r *record) (end int) { r.sample, end = scanInteger(line, at); return end }},
		{"client_ip", text(clientIP)}, {"client_hash", text(clientHash)}, {"client_port", skip},
		{"real_client", text(realClient)}, {"real_client_hash", text(realClientHash)}, {"real_client_id", skip}, {"real_client_id_hash", skip},
		{"server_ip", skip}, {"server_port", skip}, {"transport", skip}, {"client_class", text(clientClass)},
		{"query_id", skip}, {"qname", text(qname)}, {"qtype", text(qtype)}, {"qtype_code", skip}, {"qclass", text(qclass)}, {"query_flags", skip}, {"query_size", skip},
		{"rcode", text(rcode)}, {"rcode_code", skip}, {"ede_code", skip}, {"ede_text", text(edeText)}, {"reply_flags", skip}, {"reply_size", skip},
		{"chain", texts(chain)}, {"answers", texts(answers)},
		{"verdict", text(verdictField)}, {"namespace", text(namespaceField)}, {"privatelink_zone", text(privatelinkZone)}, {"uncatalogued_privatelink", text(uncatalogued)},
		{"direct", func(line []byte, at int, r *record) (end int) { r.direct, end = scanFlag(line, at); return end }},
		{"chase", func(line []byte, at int, r *record) (end int) { r.chase, end = scanFlag(line, at); return end }},
		{"policy_rule", text(policyRule)}, {"policy_action", text(policyAction)},
		{"cache", text(cacheField)}, {"route", skip}, {"group", text(group)}, {"site", text(site)},
		{"upstream", text(upstream)}, {"upstream_transport", skip},
		{"upstream_duration_seconds", func(line []byte, at int, r *record) (end int) {
			r.upstreamDuration, end = scanSeconds(line, at)
			return end
		}},
		{"fallback", text(fallback)}, {"error", text(errorField)},
		{"duration_seconds", func(line []byte, at int, r *record) (end int) { r.duration, end = scanSeconds(line, at); return end }},
	}
}

// scanner reads the lines that the log writes: one flat object without spaces,
// without escapes, and all of it printable ASCII. Whatever it takes,
// encoding/json reads alike; whatever else there is, it leaves to that.
type scanner struct {
	columns []column
	// quoted are the keys as lines have them: with quotes and colon.
	quoted []string
}

func newScanner() *scanner {
	s := &scanner{columns: layout()}
	for _, c := range s.columns {
		s.quoted = append(s.quoted, `"`+c.key+`":`)
	}
	return s
}

// read reads a line without its end, in whatever form it is.
func (s *scanner) read(line []byte, r *record) error {
	if !s.scan(line, r) {
		if err := decode(line, r); err != nil {
			return err
		}
	}
	return r.check()
}

// scan reads a line without its end. It reports false where the line is not in
// the plain form, and leaves then nothing of use in the record.
func (s *scanner) scan(line []byte, r *record) bool {
	*r = record{sample: 1}
	if len(line) < 2 || line[0] != '{' || !isPlain(line) {
		return false
	}
	next := 0
	for at := 1; ; at++ {
		if at = s.scanField(line, at, r, &next); at < 0 || at >= len(line) {
			return false
		}
		switch line[at] {
		case ',':
		case '}':
			return at == len(line)-1
		default:
			return false
		}
	}
}

// scanField reads a key and its value. It looks for the key among the columns
// from next on, and then among all.
func (s *scanner) scanField(line []byte, at int, r *record, next *int) int {
	for place := *next; place < len(s.quoted); place++ {
		end := at + len(s.quoted[place])
		if end <= len(line) && string(line[at:end]) == s.quoted[place] {
			*next = place + 1
			return s.columns[place].read(line, end, r)
		}
	}
	key, end := scanText(line, at)
	if end < 0 || end >= len(line) || line[end] != ':' {
		return -1
	}
	return s.reader(key)(line, end+1, r)
}

// reader finds the column of a key that does not stand in the usual order.
func (s *scanner) reader(key []byte) reader {
	for place := range s.columns {
		if string(key) == s.columns[place].key {
			return s.columns[place].read
		}
	}
	if isLowerCase(key) {
		return skip // a newer field
	}
	return decline // encoding/json takes keys in any case for their fields
}

func decline([]byte, int, *record) int { return -1 }

func isLowerCase(key []byte) bool {
	for _, character := range key {
		if character != '_' && (character < 'a' || character > 'z') && (character < '0' || character > '9') {
			return false
		}
	}
	return true
}

// isPlain reports whether every byte is printable ASCII and none a backslash,
// so that a quote ends a text. It looks at eight bytes at a time.
func isPlain(line []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	var odd uint64
	for ; len(line) >= 8; line = line[8:] {
		// Each term has a high bit set where a byte is beyond ASCII, less than a
		// space, or was made zero; below the first such byte all are exact.
		word := binary.LittleEndian.Uint64(line)
		backslash, del := word^('\\'*ones), word^(0x7f*ones)
		odd |= word | (word - ' '*ones) | (backslash - ones) | (del - ones)
	}
	for _, character := range line {
		if character < ' ' || character >= 0x7f || character == '\\' {
			return false
		}
	}
	return odd&highs == 0
}

// scanText reads a text that has no escapes.
func scanText(line []byte, at int) (text []byte, end int) {
	if at >= len(line) || line[at] != '"' {
		return nil, -1
	}
	length := bytes.IndexByte(line[at+1:], '"')
	if length < 0 {
		return nil, -1
	}
	end = at + 1 + length
	return line[at+1 : end : end], end + 1
}

// scanTexts reads a list of one text or more, none of which has escapes. It returns
// what stands between the outermost quotes: the texts, with textBreak between them.
func scanTexts(line []byte, at int) (texts []byte, end int) {
	if at >= len(line) || line[at] != '[' {
		return nil, -1
	}
	start := at + 2
	for {
		_, end = scanText(line, at+1)
		switch {
		case end < 0 || end >= len(line):
			return nil, -1
		case line[end] == ']':
			return line[start : end-1 : end-1], end + 1
		case line[end] != ',':
			return nil, -1
		}
		at = end
	}
}

// textBreak stands between the texts of a list.
const textBreak = `","`

func scanFlag(line []byte, at int) (flag bool, end int) {
	switch rest := line[at:]; {
	case bytes.HasPrefix(rest, []byte("true")):
		return true, at + 4
	case bytes.HasPrefix(rest, []byte("false")):
		return false, at + 5
	}
	return false, -1
}

// skip passes over a value that the report does not need.
func skip(line []byte, at int, _ *record) int {
	if at < len(line) && line[at] == '[' {
		return skipList(line, at)
	}
	return skipSingle(line, at)
}

func skipSingle(line []byte, at int) (end int) {
	switch {
	case at >= len(line):
		return -1
	case line[at] == '"':
		_, end = scanText(line, at)
	case line[at] == 't' || line[at] == 'f':
		_, end = scanFlag(line, at)
	default:
		_, end = scanInteger(line, at)
	}
	return end
}

// skipList passes over a list of single values.
func skipList(line []byte, at int) int {
	for {
		if at = skipSingle(line, at+1); at < 0 || at >= len(line) {
			return -1
		}
		switch line[at] {
		case ']':
			return at + 1
		case ',':
		default:
			return -1
		}
	}
}
