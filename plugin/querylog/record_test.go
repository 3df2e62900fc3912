package querylog

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fullRecord has every field set.
func fullRecord() *Record {
	return &Record{
		Time:                    time.Date(2026, time.March, 1, 12, 0, 0, 250_000_000, time.UTC),
		Client:                  netip.MustParseAddr("10.20.0.7"),
		ClientPort:              53124,
		Transport:               "udp",
		ClientClass:             "stub",
		Name:                    "db1.database.windows.net.",
		Type:                    "A",
		Class:                   "IN",
		Rcode:                   "NOERROR",
		EDE:                     &EDE{Code: 15, Text: "ask for db1.database.windows.net"},
		Chain:                   []string{"db1.privatelink.database.windows.net.", "db1.privatelink.example.org."},
		Answers:                 []netip.Addr{netip.MustParseAddr("10.0.2.4"), netip.MustParseAddr("fd00::4")},
		Verdict:                 "private",
		Namespace:               "database.windows.net",
		PrivatelinkZone:         "privatelink.database.windows.net",
		UncataloguedPrivatelink: "db1.privatelink.example.org.",
		Direct:                  true,
		Chase:                   true,
		PolicyRule:              "chase",
		PolicyAction:            "allow",
		Route:                   "database.windows.net",
		Group:                   "azure",
		Upstream:                "168.63.129.16:53",
		UpstreamTransport:       "tcp",
		UpstreamSeconds:         0.0125,
		Error:                   "no server of group azure answered",
		Seconds:                 0.013,
	}
}

// plainRecord is the least that every query has.
func plainRecord(name string) *Record {
	return &Record{
		Time:         time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC),
		Client:       netip.MustParseAddr("2001:db8::53"),
		ClientPort:   1024,
		Transport:    "tcp",
		ClientClass:  "other",
		Name:         name,
		Type:         "AAAA",
		Class:        "IN",
		Rcode:        "NXDOMAIN",
		PolicyRule:   "none",
		PolicyAction: "allow",
	}
}

// The field names are what people's dashboards and queries are written
// against: a change here breaks them.
func TestAppendLineGolden(t *testing.T) {
	tests := []struct {
		name   string
		record *Record
		want   string
	}{
		{
			name:   "every field",
			record: fullRecord(),
			want: `{"time":"2026-03-01T12:00:00.25Z","client_ip":"10.20.0.7","client_port":53124,"transport":"udp","client_class":"stub",` +
				`"qname":"db1.database.windows.net.","qtype":"A","qclass":"IN","rcode":"NOERROR",` +
				`"ede":{"code":15,"text":"ask for db1.database.windows.net"},` +
				`"chain":["db1.privatelink.database.windows.net.","db1.privatelink.example.org."],"answers":["10.0.2.4","fd00::4"],` +
				`"verdict":"private","namespace":"database.windows.net","privatelink_zone":"privatelink.database.windows.net",` +
				`"uncatalogued_privatelink":"db1.privatelink.example.org.","direct":true,"chase":true,` +
				`"policy_rule":"chase","policy_action":"allow","route":"database.windows.net","group":"azure",` +
				`"upstream":"168.63.129.16:53","upstream_transport":"tcp","upstream_duration_seconds":0.0125,` +
				`"error":"no server of group azure answered","duration_seconds":0.013}`,
		},
		{
			name:   "empty fields are left out",
			record: plainRecord("www.example.org."),
			want: `{"time":"2026-03-01T12:00:00Z","client_ip":"2001:db8::53","client_port":1024,"transport":"tcp","client_class":"other",` +
				`"qname":"www.example.org.","qtype":"AAAA","qclass":"IN","rcode":"NXDOMAIN",` +
				`"policy_rule":"none","policy_action":"allow","duration_seconds":0}`,
		},
		{
			name:   "the zero record is a line too",
			record: &Record{},
			want: `{"time":"0001-01-01T00:00:00Z","client_ip":"","client_port":0,"transport":"","client_class":"",` +
				`"qname":"","qtype":"","qclass":"","rcode":"","policy_rule":"","policy_action":"","duration_seconds":0}`,
		},
		{
			name:   "an extended error without text, an address with a zone",
			record: &Record{Client: netip.MustParseAddr("fe80::1%eth0"), EDE: &EDE{}},
			want: `{"time":"0001-01-01T00:00:00Z","client_ip":"fe80::1%eth0","client_port":0,"transport":"","client_class":"",` +
				`"qname":"","qtype":"","qclass":"","rcode":"","ede":{"code":0},"policy_rule":"","policy_action":"","duration_seconds":0}`,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			line, err := tc.record.AppendLine(nil)
			if err != nil {
				t.Fatalf("AppendLine() error = %v, want nil", err)
			}
			if got := string(line); got != tc.want+"\n" {
				t.Errorf("AppendLine() =\n%s\nwant\n%s\n", got, tc.want)
			}
		})
	}
}

func TestAppendLineKeepsWhatIsThere(t *testing.T) {
	line, err := plainRecord("www.example.org.").AppendLine([]byte("first\n"))
	if err != nil {
		t.Fatalf("AppendLine() error = %v, want nil", err)
	}
	if !bytes.HasPrefix(line, []byte("first\n{")) {
		t.Errorf("AppendLine(%q) = %q, want it to begin with the line before", "first\n", line)
	}
}

// What cannot be written as JSON leaves the lines before it as they were.
func TestAppendLineError(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Record)
	}{
		{name: "a duration that is no number", change: func(r *Record) { r.Seconds = math.NaN() }},
		{name: "an infinite round trip", change: func(r *Record) { r.UpstreamSeconds = math.Inf(1) }},
		{name: "a year beyond RFC 3339", change: func(r *Record) { r.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			record := fullRecord()
			tc.change(record)
			line, err := record.AppendLine([]byte("first\n"))
			if err == nil || string(line) != "first\n" {
				t.Errorf("AppendLine() = %q, %v, want %q and an error", line, err, "first\n")
			}
		})
	}
}

// Whatever a client puts into a name, a reader of lines sees one record.
func TestAppendLineHostileNames(t *testing.T) {
	tests := []struct {
		name  string
		qname string
		want  string
	}{
		{name: "quotes", qname: `a"b","rcode":"NOERROR.`, want: `a"b","rcode":"NOERROR.`},
		{name: "backslashes as miekg/dns prints them", qname: `a\.b\\\"\009.example.org.`, want: `a\.b\\\"\009.example.org.`},
		{name: "raw line feed and carriage return", qname: "a\nb\r\n{}.example.org.", want: "a\nb\r\n{}.example.org."},
		{name: "NUL, escape and DEL", qname: "a\x00\x1b[2J\x7f.example.org.", want: "a\x00\x1b[2J\x7f.example.org."},
		{name: "line separators of Unicode", qname: "a\u2028b\u2029c\u0085.example.org.", want: "a\u2028b\u2029c\u0085.example.org."},
		{name: "markup", qname: "<script>&.example.org.", want: "<script>&.example.org."},
		{name: "invalid UTF-8", qname: "a\xff\xfe.example.org.", want: "a\ufffd\ufffd.example.org."},
		{name: "half a rune at the end", qname: "a.example.org.\xe2\x80", want: "a.example.org.\ufffd\ufffd"},
		{name: "surrogates", qname: "\xed\xa0\x80.", want: "\ufffd\ufffd\ufffd."},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			record := fullRecord()
			record.Name, record.Chain, record.Error = tc.qname, []string{tc.qname}, tc.qname
			line, err := record.AppendLine(nil)
			if err != nil {
				t.Fatalf("AppendLine() error = %v, want nil", err)
			}
			got := decodeLine(t, line)
			if got.Name != tc.want || got.Error != tc.want || !slices.Equal(got.Chain, []string{tc.want}) {
				t.Errorf("AppendLine() with name %q reads back as qname %q, error %q, chain %q, want %q", tc.qname, got.Name, got.Error, got.Chain, tc.want)
			}
		})
	}
}

// decodeLine fails unless line is exactly one line of strict JSON with the
// record's fields only.
func decodeLine(t testing.TB, line []byte) Record {
	t.Helper()
	if count := bytes.Count(line, []byte{'\n'}); count != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("line %q has %d line feeds, want one, at its end", line, count)
	}
	if index := bytes.IndexFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' || r == '\u2028' || r == '\u2029' }); index >= 0 {
		t.Fatalf("line %q has the raw byte %#02x at %d, want it escaped", line, line[index], index)
	}
	if !utf8.Valid(line) {
		t.Fatalf("line %q is not valid UTF-8", line)
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	var record Record
	if err := decoder.Decode(&record); err != nil {
		t.Fatalf("line %q is not a record: %v", line, err)
	}
	if decoder.More() {
		t.Fatalf("line %q holds more than one value", line)
	}
	return record
}

func FuzzAppendLine(f *testing.F) {
	f.Add("db1.database.windows.net.", "A", "no server answered", "blocked", uint16(15), uint16(53), 0.25)
	f.Add("a\"\\\n\r\x00\x1f\x7f\u2028\xff.", "TYPE65535", "dial udp: \n", "\xc3\x28", uint16(0), uint16(0), -1.5e300)
	f.Fuzz(func(t *testing.T, name, qtype, failure, text string, code, port uint16, seconds float64) {
		record := fullRecord()
		record.Name, record.Type, record.Error = name, qtype, failure
		record.Chain, record.UncataloguedPrivatelink = []string{name, failure}, name
		record.EDE = &EDE{Code: code, Text: text}
		record.ClientPort, record.Seconds = port, seconds
		line, err := record.AppendLine(nil)
		if unwritable := math.IsNaN(seconds) || math.IsInf(seconds, 0); (err != nil) != unwritable {
			t.Fatalf("AppendLine() error = %v with a duration of %v", err, seconds)
		}
		if err != nil {
			return
		}
		got := decodeLine(t, line)
		for _, field := range []struct{ name, got, want string }{
			{"qname", got.Name, name}, {"qtype", got.Type, qtype}, {"error", got.Error, failure}, {"ede text", got.EDE.Text, text},
		} {
			// Each invalid byte becomes one replacement character.
			if want := strings.Map(func(r rune) rune { return r }, field.want); field.got != want {
				t.Errorf("%s reads back as %q, want %q", field.name, field.got, want)
			}
		}
		if got.Seconds != seconds || got.EDE.Code != code || got.ClientPort != port {
			t.Errorf("numbers read back as %v, %d, %d, want %v, %d, %d", got.Seconds, got.EDE.Code, got.ClientPort, seconds, code, port)
		}
	})
}
