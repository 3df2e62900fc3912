//go:build linux

package lab

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Answer is a reply as dig shows it.
type Answer struct {
	// Status is the response code, such as NOERROR or REFUSED.
	Status string
	// Flags are the header's flags in dig's spelling and order, such as qr, rd, ra, tc.
	Flags []string
	// EDE is the extended DNS error; nil if there is none.
	EDE *EDE
	// Records is the answer section, in its order.
	Records []Record
	// Transport is "UDP" or "TCP". Retried reports that a UDP reply was
	// truncated and dig asked again over TCP.
	Transport string
	Retried   bool
	// Size is the length of the reply in bytes.
	Size int
	// Text is all that dig wrote.
	Text string
}

// EDE is an extended DNS error (RFC 8914).
type EDE struct {
	Code int
	Text string
}

// Record is a resource record. Name and Data are in presentation form.
type Record struct {
	Name, Type, Data string
	TTL              int
}

// Dig asks a server with dig, once, and waits as long as dig does by default:
// 5 seconds. The options are dig's own, such as +ignore. Without a reply it
// returns an error that holds what dig wrote.
func (h *Host) Dig(server, name, kind string, options ...string) (*Answer, error) {
	arguments := []string{"-r", "@" + server, "-q", name, "-t", kind, "+nosearch", "+time=5", "+tries=1"}
	asked, err := h.start("dig", "dig", append(arguments, options...)...)
	if err != nil {
		return nil, err
	}
	code := asked.Wait()
	answer, err := parseDig(asked.Output(0))
	if err == nil && code != 0 {
		err = fmt.Errorf("dig ended with code %d", code)
	}
	if err != nil {
		return nil, fmt.Errorf("dig %s: %w; it wrote:\n%s", strings.Join(arguments[1:], " "), err, asked.Output(0))
	}
	return answer, nil
}

// digLines reads the lines of dig's output that are not records, by their
// beginning. dig's YAML is not used: it does not quote the text of an extended
// error, which then breaks the document.
var digLines = []struct {
	prefix string
	read   func(a *Answer, rest string) error
}{
	{";; ->>HEADER<<- ", (*Answer).readHeader},
	{";; flags: ", (*Answer).readFlags},
	{"; EDE: ", (*Answer).readEDE},
	{";; Truncated, retrying in TCP mode", func(a *Answer, _ string) error { a.Retried = true; return nil }},
	{";; SERVER: ", (*Answer).readServer},
	{";; MSG SIZE ", (*Answer).readSize},
}

// parseDig reads dig's text. What stands there without a header is no reply.
func parseDig(text string) (*Answer, error) {
	a := &Answer{Text: text}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, found := strings.CutSuffix(line, " SECTION:"); found {
			section = strings.TrimPrefix(name, ";; ")
			continue
		}
		if err := a.readLine(section, line); err != nil {
			return nil, fmt.Errorf("reading %q: %w", line, err)
		}
	}
	if a.Status == "" {
		return nil, fmt.Errorf("no reply")
	}
	return a, nil
}

func (a *Answer) readLine(section, line string) error {
	for _, known := range digLines {
		if rest, found := strings.CutPrefix(line, known.prefix); found {
			return known.read(a, rest)
		}
	}
	if section == "ANSWER" && line != "" && line[0] != ';' {
		return a.readRecord(line)
	}
	return nil
}

func (a *Answer) readHeader(rest string) error {
	_, status, found := strings.Cut(rest, "status: ")
	if !found {
		return fmt.Errorf("found no status")
	}
	a.Status, _, _ = strings.Cut(status, ",")
	return nil
}

func (a *Answer) readFlags(rest string) error {
	flags, _, _ := strings.Cut(rest, ";")
	a.Flags = strings.Fields(flags)
	return nil
}

// readEDE reads "15 (Blocked): (the text)".
func (a *Answer) readEDE(rest string) (err error) {
	number, rest, _ := strings.Cut(rest, " ")
	a.EDE = &EDE{}
	a.EDE.Code, err = strconv.Atoi(strings.TrimSuffix(number, ":"))
	if _, text, found := strings.Cut(rest, ": ("); found {
		a.EDE.Text = strings.TrimSuffix(text, ")")
	}
	return err
}

// readServer reads "10.1.0.4#53(10.1.0.4) (UDP)".
func (a *Answer) readServer(rest string) error {
	_, transport, found := strings.Cut(rest, " (")
	if !found {
		return fmt.Errorf("found no transport")
	}
	a.Transport = strings.TrimSuffix(transport, ")")
	return nil
}

func (a *Answer) readSize(rest string) (err error) {
	a.Size, err = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(rest), "rcvd: "))
	return err
}

// readRecord reads "name TTL class type data", where the data may hold blanks.
func (a *Answer) readRecord(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return fmt.Errorf("found %d fields, expected name, TTL, class, type and data", len(fields))
	}
	ttl, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	a.Records = append(a.Records, Record{Name: fields[0], TTL: ttl, Type: fields[3], Data: strings.Join(fields[4:], " ")})
	return nil
}

// Data returns the data of the answer's records of a type, in their order.
func (a *Answer) Data(kind string) []string {
	var data []string
	for _, record := range a.Records {
		if record.Type == kind {
			data = append(data, record.Data)
		}
	}
	return data
}

// Has reports whether the header has a flag, in dig's spelling.
func (a *Answer) Has(flag string) bool { return slices.Contains(a.Flags, flag) }

// String returns the reply in a few words: for failures and for the table.
func (a *Answer) String() string {
	words := []string{a.Status}
	for _, alias := range a.Data("CNAME") {
		words = append(words, "→ "+strings.TrimSuffix(alias, "."))
	}
	words = append(words, a.Data("A")...)
	others := map[string]int{}
	for _, record := range a.Records {
		if record.Type != "CNAME" && record.Type != "A" {
			others[record.Type]++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(others)) {
		words = append(words, fmt.Sprintf("%d %s", others[kind], kind))
	}
	if a.EDE != nil {
		words = append(words, fmt.Sprintf("EDE %d %s", a.EDE.Code, a.EDE.Text))
	}
	if a.Transport == "TCP" {
		words = append(words, fmt.Sprintf("(%d bytes, TCP)", a.Size))
	}
	return strings.Join(words, " ")
}
