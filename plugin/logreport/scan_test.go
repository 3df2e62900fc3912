package logreport

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// What the scanner takes, encoding/json must read alike; what it leaves, that decides.
func FuzzScan(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		f.Add(bytes.TrimSpace(querylog.AppendJSON(nil, recordAt(start, random))))
	}
	for _, odd := range oddLines() {
		f.Add([]byte(odd.line))
	}
	scanner := newScanner()
	f.Fuzz(func(t *testing.T, line []byte) {
		var scanned, decoded record
		if !scanner.scan(line, &scanned) {
			return
		}
		if err := decode(line, &decoded); err != nil {
			t.Fatalf("scan(%q) takes the line, decode() = %v", line, err)
		}
		if difference := compareRecords(&scanned, &decoded); difference != "" {
			t.Fatalf("scan(%q) and decode() differ in %s", line, difference)
		}
	})
}

func compareRecords(a, b *record) string {
	for field := range a.text {
		if !bytes.Equal(a.text[field], b.text[field]) {
			return "text " + layoutKey(textField(field)) + ": " + string(a.text[field]) + " and " + string(b.text[field])
		}
	}
	x, y := *a, *b
	x.text, y.text = [textFields][]byte{}, [textFields][]byte{}
	switch {
	case x.time != y.time || x.hasTime != y.hasTime:
		return "time"
	case x.schema != y.schema || x.sample != y.sample:
		return "schema or sample"
	case x.duration != y.duration || x.upstreamDuration != y.upstreamDuration:
		return "a duration"
	case x.direct != y.direct || x.chase != y.chase:
		return "a flag"
	}
	return ""
}

// layoutKey is the key of a text field.
func layoutKey(field textField) string {
	for _, c := range layout() {
		var r record
		if c.read([]byte(`"x"`), 0, &r) > 0 && r.text[field] != nil {
			return c.key
		}
	}
	return "of no column"
}

// oddLines are lines that are not as the log writes them, and whether the
// scanner takes them and whether they are records at all.
func oddLines() []struct {
	name, line      string
	taken, readable bool
} {
	const least = `"time":"2026-03-01T03:00:00.000000Z","schema":1`
	return []struct {
		name, line      string
		taken, readable bool
	}{
		{"the least", `{` + least + `}`, true, true},
		{"spaces", `{ ` + least + ` }`, false, true},
		{"another order", `{"schema":1,"qname":"a.","time":"2026-03-01T03:00:00.000000Z"}`, true, true},
		{"a key twice", `{` + least + `,"qname":"a.","qname":"b."}`, true, true},
		{"a key in capitals", `{` + least + `,"QName":"a."}`, false, true},
		{"a newer field", `{` + least + `,"newer_field2":"x","list":["a",1,true],"number":17}`, true, true},
		{"a newer object", `{` + least + `,"newer":{"a":[]}}`, false, true},
		{"null", `{` + least + `,"qname":null}`, false, true},
		{"an escape", `{` + least + `,"qname":"a\"b."}`, false, true},
		{"beyond ASCII", `{` + least + `,"qname":"bücher."}`, false, true},
		{"an exponent", `{` + least + `,"duration_seconds":1e-3}`, false, true},
		{"seven digits", `{` + least + `,"duration_seconds":0.0000001}`, false, true},
		{"another zone", `{"time":"2026-03-01T04:00:00+01:00","schema":1}`, false, true},
		{"the 30th of February", `{"time":"2026-02-30T03:00:00.000000Z","schema":1}`, false, false},
		{"a leap day", `{"time":"2028-02-29T23:59:59.999999Z","schema":1}`, true, true},
		{"no time", `{"schema":1}`, true, false},
		{"no schema", `{"time":"2026-03-01T03:00:00.000000Z","level":"info"}`, true, false},
		{"a newer schema", `{"time":"2026-03-01T03:00:00.000000Z","schema":2}`, true, false},
		{"the zero time", `{"time":"0001-01-01T00:00:00.000000Z","schema":1}`, true, false},
		{"a leading zero", `{` + least + `,"sample":08}`, false, false},
		{"sample 0", `{` + least + `,"sample":0}`, true, false},
		{"a negative duration", `{` + least + `,"duration_seconds":-1}`, false, false},
		{"ages", `{` + least + `,"duration_seconds":1000001}`, true, false},
		{"a text as number", `{` + least + `,"sample":"8"}`, false, false},
		{"a trailing comma", `{` + least + `,}`, false, false},
		{"two objects", `{` + least + `}{}`, false, false},
		{"cut off", `{` + least + `,"qname":"a.exa`, false, false},
		{"an empty object", `{}`, false, false},
		{"a list", `[` + least + `]`, false, false},
		{"an open list", `{` + least + `,"chain":["a.",`, false, false},
		{"an empty list", `{` + least + `,"chain":[]}`, false, true},
		{"a tail of text", "2026/03/01 listening", false, false},
	}
}

func TestOddLines(t *testing.T) {
	for _, tc := range oddLines() {
		t.Run(tc.name, func(t *testing.T) {
			var r record
			if taken := newScanner().scan([]byte(tc.line), &r); taken != tc.taken {
				t.Errorf("scan(%s) = %v, want %v", tc.line, taken, tc.taken)
			}
			tallied := newTally(newSelection(Options{}))
			if err := tallied.addLine([]byte(tc.line)); (err == nil) != tc.readable {
				t.Errorf("addLine(%s) = %v, want readable %v", tc.line, err, tc.readable)
			}
		})
	}
}

// The columns are those of the log's manual, in its order. A field that is added
// there is skipped here, but slowly, until it is added here too.
func TestLayoutIsThatOfTheLog(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "querylog", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(manual), "`schema` grows by one")
	var want, got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		want = append(want, row[1])
	}
	for _, c := range layout() {
		got = append(got, c.key)
	}
	if !slices.Equal(got, want) || len(want) < 40 {
		t.Errorf("the columns are %v, want %v", got, want)
	}
}

// Nearly every line of a real log must take the fast way.
func TestScanTakesWhatTheLogWrites(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	scanner, at := newScanner(), start
	for range 5000 {
		at = at.Add(time.Duration(random.Int64N(int64(100 * time.Hour))))
		written := recordAt(at, random)
		line := bytes.TrimSpace(querylog.AppendJSON(nil, written))
		var r, decoded record
		if taken := scanner.scan(line, &r); taken != (written.Error == "") {
			t.Fatalf("scan(%s) = %v", line, taken)
		} else if !taken {
			continue // an error has quotes in it
		}
		if err := decode(line, &decoded); err != nil || compareRecords(&r, &decoded) != "" {
			t.Fatalf("scan(%s) differs from decode(): %v, %s", line, err, compareRecords(&r, &decoded))
		}
		if r.time != at.UnixMicro() || string(r.text[qname]) != written.Name || r.duration != written.Duration.Microseconds() {
			t.Fatalf("scan(%s) = time %d, name %s, duration %d", line, r.time, r.text[qname], r.duration)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	tallied := newTally(newSelection(Options{}))
	content := bytes.Split(bytes.TrimSpace(hubLog(500)), []byte("\n"))
	content = content[:0:0]
	random := rand.New(rand.NewPCG(7, 8))
	for len(content) < 500 {
		if written := recordAt(start, random); written.Error == "" {
			content = append(content, bytes.TrimSpace(querylog.AppendJSON(nil, written)))
		}
	}
	add := func() {
		for _, line := range content {
			if err := tallied.addLine(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	add() // every key is known now
	if allocations := testing.AllocsPerRun(5, add); allocations != 0 {
		t.Errorf("500 lines allocate %v times, want 0", allocations)
	}
}

// Nothing in a log can steer the terminal that shows the report.
func TestHostileNamesAreEscaped(t *testing.T) {
	content := line(func(r *querylog.Record) {
		r.Name, r.Duration = "a\x1b[2J\u202e<script>.example.org.", time.Second
	})
	report := read(t, Options{}, logOf("query.log", content))
	var text, page bytes.Buffer
	if err := report.WriteText(&text, 80, Style{}); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if want := `a\x1b[2J\u202e<script>.example.org`; !strings.Contains(text.String(), want) {
		t.Errorf("the text lacks %q:\n%s", want, text.String())
	}
	if strings.Contains(page.String(), "<script") || !strings.Contains(page.String(), `a\x1b[2J\u202e&lt;script&gt;.example.org`) {
		t.Errorf("the page shows the name as it is")
	}
}
