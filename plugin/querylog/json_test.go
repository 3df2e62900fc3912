package querylog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// jsonLine is a line as a reader sees it; it must name every field.
type jsonLine struct {
	Time                    time.Time    `json:"time"`
	Schema                  int          `json:"schema"`
	Instance                string       `json:"instance"`
	Sample                  int          `json:"sample"`
	Client                  string       `json:"client_ip"`
	ClientHash              string       `json:"client_hash"`
	ClientPort              uint16       `json:"client_port"`
	RealClient              string       `json:"real_client"`
	RealClientHash          string       `json:"real_client_hash"`
	RealClientID            string       `json:"real_client_id"`
	RealClientIDHash        string       `json:"real_client_id_hash"`
	Server                  netip.Addr   `json:"server_ip"`
	ServerPort              uint16       `json:"server_port"`
	Transport               string       `json:"transport"`
	ClientClass             string       `json:"client_class"`
	ID                      uint16       `json:"query_id"`
	Name                    string       `json:"qname"`
	Type                    string       `json:"qtype"`
	TypeCode                uint16       `json:"qtype_code"`
	Class                   string       `json:"qclass"`
	QueryFlags              string       `json:"query_flags"`
	QuerySize               int          `json:"query_size"`
	Rcode                   string       `json:"rcode"`
	RcodeCode               uint16       `json:"rcode_code"`
	EDECode                 *uint16      `json:"ede_code"`
	EDEText                 string       `json:"ede_text"`
	ReplyFlags              string       `json:"reply_flags"`
	ReplySize               int          `json:"reply_size"`
	Chain                   []string     `json:"chain"`
	Answers                 []netip.Addr `json:"answers"`
	Verdict                 string       `json:"verdict"`
	Namespace               string       `json:"namespace"`
	PrivatelinkZone         string       `json:"privatelink_zone"`
	UncataloguedPrivatelink string       `json:"uncatalogued_privatelink"`
	Direct                  bool         `json:"direct"`
	Chase                   bool         `json:"chase"`
	PolicyRule              string       `json:"policy_rule"`
	PolicyAction            string       `json:"policy_action"`
	Cache                   string       `json:"cache"`
	Route                   string       `json:"route"`
	Group                   string       `json:"group"`
	Site                    string       `json:"site"`
	Upstream                string       `json:"upstream"`
	UpstreamTransport       string       `json:"upstream_transport"`
	UpstreamSeconds         float64      `json:"upstream_duration_seconds"`
	Fallback                string       `json:"fallback"`
	Error                   string       `json:"error"`
	Seconds                 float64      `json:"duration_seconds"`
}

// fullRecord has every field set.
func fullRecord() *Record {
	return &Record{
		Time:                    time.Date(2026, time.March, 1, 12, 0, 0, 250_000_999, time.UTC),
		Client:                  netip.MustParseAddrPort("10.20.0.7:53124"),
		Server:                  netip.MustParseAddrPort("10.1.0.4:53"),
		Transport:               "udp",
		ClientClass:             "resolver",
		RealClient:              netip.MustParsePrefix("10.40.3.0/26"),
		RealClientID:            "00:00:5e:00:53:01",
		ID:                      4711,
		Name:                    "db1.database.windows.net.",
		Type:                    1,
		Class:                   1,
		QueryFlags:              FlagRD | FlagAD | FlagDO,
		ReplyFlags:              FlagRD | FlagRA,
		QuerySize:               53,
		ReplySize:               117,
		Rcode:                   2,
		HasEDE:                  true,
		EDECode:                 15,
		EDEText:                 "ask for db1.database.windows.net",
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
		Cache:                   "miss",
		Route:                   "database.windows.net",
		Group:                   "azure",
		Site:                    "hub",
		Upstream:                "168.63.129.16:53",
		UpstreamTransport:       "tcp",
		UpstreamDuration:        12500 * time.Microsecond,
		Fallback:                "outage",
		Error:                   "no server of group azure answered",
		Duration:                13 * time.Millisecond,
	}
}

// hitRecord is the query that a busy server answers most: a chain to a private
// endpoint, from the cache.
func hitRecord() *Record {
	r := fullRecord()
	r.RealClient, r.RealClientID, r.UncataloguedPrivatelink, r.Error, r.Fallback, r.Site = netip.Prefix{}, "", "", "", "", ""
	r.HasEDE, r.EDEText, r.Rcode, r.Direct, r.Chase, r.PolicyRule = false, "", 0, false, false, "none"
	r.Chain, r.Answers = r.Chain[:1], r.Answers[:1]
	r.Cache, r.Upstream, r.UpstreamTransport, r.UpstreamDuration = "hit", "", "", 0
	r.Duration = 9 * time.Microsecond
	return r
}

// plainRecord is the least that every query has.
func plainRecord(name string) *Record {
	return &Record{
		Time:         time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC),
		Client:       netip.MustParseAddrPort("[2001:db8:1:2ff::53]:1024"),
		Transport:    "tcp",
		ClientClass:  "other",
		Name:         name,
		Type:         28,
		Class:        1,
		Rcode:        3,
		PolicyRule:   "none",
		PolicyAction: "allow",
	}
}

// The field names are what people's dashboards and queries are written
// against: a change here breaks them.
func TestAppendJSONGolden(t *testing.T) {
	tests := []struct {
		name   string
		record *Record
		want   string
	}{
		{
			name:   "every field",
			record: fullRecord(),
			want: `{"time":"2026-03-01T12:00:00.250000Z","schema":1,"client_ip":"10.20.0.7","client_port":53124,` +
				`"real_client":"10.40.3.0/26","real_client_id":"00:00:5e:00:53:01","server_ip":"10.1.0.4","server_port":53,` +
				`"transport":"udp","client_class":"resolver","query_id":4711,` +
				`"qname":"db1.database.windows.net.","qtype":"A","qtype_code":1,"qclass":"IN","query_flags":"RD AD DO","query_size":53,` +
				`"rcode":"SERVFAIL","rcode_code":2,"ede_code":15,"ede_text":"ask for db1.database.windows.net",` +
				`"reply_flags":"RD RA","reply_size":117,` +
				`"chain":["db1.privatelink.database.windows.net.","db1.privatelink.example.org."],"answers":["10.0.2.4","fd00::4"],` +
				`"verdict":"private","namespace":"database.windows.net","privatelink_zone":"privatelink.database.windows.net",` +
				`"uncatalogued_privatelink":"db1.privatelink.example.org.","direct":true,"chase":true,` +
				`"policy_rule":"chase","policy_action":"allow","cache":"miss","route":"database.windows.net","group":"azure","site":"hub",` +
				`"upstream":"168.63.129.16:53","upstream_transport":"tcp","upstream_duration_seconds":0.012500,` +
				`"fallback":"outage","error":"no server of group azure answered","duration_seconds":0.013000}`,
		},
		{
			name:   "empty fields are left out",
			record: plainRecord("www.example.org."),
			want: `{"time":"2026-03-01T12:00:00.000000Z","schema":1,"client_ip":"2001:db8:1:2ff::53","client_port":1024,` +
				`"transport":"tcp","client_class":"other","query_id":0,"qname":"www.example.org.","qtype":"AAAA","qtype_code":28,"qclass":"IN",` +
				`"rcode":"NXDOMAIN","rcode_code":3,"policy_rule":"none","policy_action":"allow","duration_seconds":0.000000}`,
		},
		{
			name:   "the zero record is a line too",
			record: &Record{},
			want: `{"time":"0001-01-01T00:00:00.000000Z","schema":1,"client_ip":"","client_port":0,` +
				`"transport":"","client_class":"","query_id":0,"qname":"","qtype":"None","qtype_code":0,"qclass":"CLASS0",` +
				`"rcode":"NOERROR","rcode_code":0,"policy_rule":"","policy_action":"","duration_seconds":0.000000}`,
		},
		{
			name: "what has no name, and values beyond their bounds",
			record: &Record{
				Time:   time.Date(12026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
				Client: netip.MustParseAddrPort("[fe80::1%eth\"0]:53"), RealClient: netip.MustParsePrefix("10.0.0.7/32"),
				Type: 65280, Class: 9, Rcode: 4000, HasEDE: true, Duration: -time.Second,
				Answers: []netip.Addr{netip.MustParseAddr("::ffff:10.0.2.4")},
			},
			want: `{"time":"9999-12-31T23:00:00.000000Z","schema":1,"client_ip":"fe80::1%eth\"0","client_port":53,"real_client":"10.0.0.7",` +
				`"transport":"","client_class":"","query_id":0,"qname":"","qtype":"TYPE65280","qtype_code":65280,"qclass":"CLASS9",` +
				`"rcode":"RCODE4000","rcode_code":4000,"ede_code":0,"answers":["10.0.2.4"],"policy_rule":"","policy_action":"","duration_seconds":0.000000}`,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := string(AppendJSON([]byte("first\n"), tc.record)); got != "first\n"+tc.want+"\n" {
				t.Errorf("AppendJSON() =\n%s\nwant\n%s\n", got, "first\n"+tc.want+"\n")
			}
		})
	}
}

// Whatever a client puts into a name, a reader of lines sees one record.
func TestAppendJSONHostileNames(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"quotes", `a"b","rcode":"NOERROR.`, `a"b","rcode":"NOERROR.`},
		{"backslashes as miekg/dns prints them", `a\.b\\\"\009.example.org.`, `a\.b\\\"\009.example.org.`},
		{"raw line feed and carriage return", "a\nb\r\n{}.example.org.", "a\nb\r\n{}.example.org."},
		{"NUL, escape and DEL", "a\x00\x1b[2J\x7f.example.org.", "a\x00\x1b[2J\x7f.example.org."},
		{"line separators of Unicode", "a\u2028b\u2029c\u0085.example.org.", "a\u2028b\u2029c\u0085.example.org."},
		{"letters beyond ASCII", "bücher.例え.😀.", "bücher.例え.😀."},
		{"invalid UTF-8", "a\xff\xfe.example.org.", "a\ufffd\ufffd.example.org."},
		{"half a rune at the end", "a.example.org.\xe2\x80", "a.example.org.\ufffd\ufffd"},
		{"surrogates", "\xed\xa0\x80.", "\ufffd\ufffd\ufffd."},
		{"the last of eight bytes", "1234567\"12345678\\1234567\n", "1234567\"12345678\\1234567\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			record := fullRecord()
			record.Name, record.Chain, record.Error, record.EDEText = tc.in, []string{tc.in}, tc.in, tc.in
			got := decodeLine(t, AppendJSON(nil, record))
			if got.Name != tc.want || got.Error != tc.want || got.EDEText != tc.want || !reflect.DeepEqual(got.Chain, []string{tc.want}) {
				t.Errorf("AppendJSON() with name %q reads back as qname %q, error %q, ede_text %q, chain %q, want %q",
					tc.in, got.Name, got.Error, got.EDEText, got.Chain, tc.want)
			}
		})
	}
}

// A record cannot make a line as long as it likes.
func TestAppendJSONIsBounded(t *testing.T) {
	record := fullRecord()
	record.Error, record.EDEText = strings.Repeat("é", 5000), strings.Repeat("x", 1022)+"éé"
	for range 5000 {
		record.Chain = append(record.Chain, "a.example.org.")
		record.Answers = append(record.Answers, netip.MustParseAddr("10.0.0.1"))
	}
	got := decodeLine(t, AppendJSON(nil, record))
	if len(got.Chain) != 64 || len(got.Answers) != 64 {
		t.Errorf("%d names and %d answers are written, want 64 of each", len(got.Chain), len(got.Answers))
	}
	if want := strings.Repeat("é", 512); got.Error != want {
		t.Errorf("error has %d bytes, want 1024 of whole characters", len(got.Error))
	}
	if want := strings.Repeat("x", 1022) + "é"; got.EDEText != want {
		t.Errorf("ede_text ends in %q, want in %q", got.EDEText[1000:], want[1000:])
	}
}

// decodeLine fails unless line is exactly one line of strict JSON with known
// fields only, safe to print.
func decodeLine(t testing.TB, line []byte) jsonLine {
	t.Helper()
	if count := bytes.Count(line, []byte{'\n'}); count != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("line %q has %d line feeds, want one, at its end", line, count)
	}
	if index := bytes.IndexFunc(line[:len(line)-1], func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
	}); index >= 0 {
		t.Fatalf("line %q has the raw byte %#02x at %d, want it escaped", line, line[index], index)
	}
	if !utf8.Valid(line) {
		t.Fatalf("line %q is not valid UTF-8", line)
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	var decoded jsonLine
	if err := decoder.Decode(&decoded); err != nil {
		t.Fatalf("line %q is not a record: %v", line, err)
	}
	if decoder.More() {
		t.Fatalf("line %q holds more than one value", line)
	}
	return decoded
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("db1.database.windows.net.", "private", "no server answered", "blocked", uint16(15), uint16(53), int64(250_000))
	f.Add("a\"\\\n\r\x00\x1f\x7f\u2028\xff.", "\u0080", "dial udp: \n", "\xc3\x28", uint16(0), uint16(0), int64(-1))
	f.Fuzz(func(t *testing.T, name, verdict, failure, text string, code, number uint16, nanoseconds int64) {
		r := fullRecord()
		r.Name, r.Verdict, r.Error, r.EDEText = name, verdict, failure, text
		r.Chain, r.UncataloguedPrivatelink = []string{name, failure}, name
		r.EDECode, r.Type, r.Class, r.Rcode = code, number, number, number
		r.QueryFlags, r.Duration, r.Time = Flags(number), time.Duration(nanoseconds), time.Unix(nanoseconds, 0)
		got := decodeLine(t, AppendJSON(nil, r))
		// Each invalid byte becomes one replacement character.
		valid := func(text string) string { return strings.Map(func(r rune) rune { return r }, text) }
		for _, field := range []struct{ name, got, want string }{
			{"qname", got.Name, valid(name)}, {"verdict", got.Verdict, valid(verdict)}, {"chain", got.Chain[1], valid(failure)},
			{"error", got.Error, valid(cut(failure))}, {"ede_text", got.EDEText, valid(cut(text))},
		} {
			if field.got != field.want {
				t.Errorf("%s reads back as %q, want %q", field.name, field.got, field.want)
			}
		}
		if got.TypeCode != number || got.RcodeCode != number || *got.EDECode != code {
			t.Errorf("numbers read back as %d, %d and %d, want %d, %d and %d", got.TypeCode, got.RcodeCode, *got.EDECode, number, number, code)
		}
	})
}

// jq reads what people will read with it.
func TestJQReadsHostileLines(t *testing.T) {
	jq, err := exec.LookPath("jq")
	if err != nil {
		t.Fatal("jq is not installed: make tools installs it")
	}
	var lines, want []byte
	for octet := range 256 {
		record := plainRecord("a" + string([]byte{byte(octet)}) + "b.example.org.")
		lines = AppendJSON(lines, record)
		want = append(want, "AAAA\n"...)
	}
	command := exec.Command(jq, "-r", ".qtype")
	command.Stdin = bytes.NewReader(lines)
	if got, err := command.CombinedOutput(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("jq = %v and %d bytes of types, want %d: %.200s", err, len(got), len(want), got)
	}
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	for name, record := range map[string]*Record{"hit": hitRecord(), "full": fullRecord(), "plain": plainRecord("www.example.org.")} {
		buffer := make([]byte, 0, 4096)
		if allocations := testing.AllocsPerRun(100, func() { buffer = AppendJSON(buffer[:0], record) }); allocations != 0 {
			t.Errorf("AppendJSON() of the %s record allocates %v times, want 0", name, allocations)
		}
	}
}
