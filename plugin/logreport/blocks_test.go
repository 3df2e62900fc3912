package logreport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func zstandard(t testing.TB, content []byte) []byte {
	t.Helper()
	writer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return writer.EncodeAll(content, nil)
}

// A log says the same however it is packed, cut and ordered, and however many
// workers there are.
func TestReadIsTheSameForEveryForm(t *testing.T) {
	content := hubLog(3000) // some blocks
	half := bytes.IndexByte(content[len(content)/2:], '\n') + len(content)/2 + 1
	first, second := content[:half], content[half:]
	want := printed(t, read(t, Options{Workers: 1}, logOf("log", content)))
	tests := []struct {
		name    string
		workers int
		sources []Source
	}{
		{"three workers", 3, []Source{logOf("log", content)}},
		{"gzip", 2, []Source{logOf("log", gzipped(t, content))}},
		{"two gzip members", 2, []Source{logOf("log", append(gzipped(t, first), gzipped(t, second)...))}},
		{"zstd", 2, []Source{logOf("log", zstandard(t, content))}},
		{"line ends of Windows", 2, []Source{logOf("log", bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n")))}},
		{"without the last line feed", 2, []Source{logOf("log", bytes.TrimSuffix(content, []byte("\n")))}},
		{"two logs, the later first", 2, []Source{logOf("log", second), logOf("log", gzipped(t, first))}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			report := read(t, Options{Workers: tc.workers}, tc.sources...)
			report.Sources = report.Sources[:1]
			if got := printed(t, report); got != want {
				t.Errorf("the report is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func printed(t testing.TB, report *Report) string {
	t.Helper()
	var out strings.Builder
	if err := report.WriteText(&out, 80, Style{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMistakesAreCountedAndPlaced(t *testing.T) {
	good := line(nothingSet)
	overlong := append([]byte(`{"time":"`), bytes.Repeat([]byte("x"), 3*blockSize)...)
	var log []byte
	for _, part := range [][]byte{good, []byte("\n"), []byte("nonsense\n"), good, append(overlong, '\n'), good, []byte(`{"schema":2}` + "\n"), good, []byte(`{"cut":"of`)} {
		log = append(log, part...)
	}
	report := read(t, Options{}, logOf("a.log", good), logOf("b.log", log))
	var got []string
	for _, m := range report.Mistakes {
		got = append(got, fmt.Sprintf("%s:%d", m.Source, m.Line))
	}
	if want := "b.log:3 b.log:5 b.log:7 b.log:9"; strings.Join(got, " ") != want {
		t.Errorf("the mistakes are at %v, want %s", report.Mistakes, want)
	}
	if report.Unreadable != 4 || report.Queries != 5 || report.Sources[1].Lines != 9 {
		t.Errorf("%d unreadable lines, %d queries, %d lines, want 4, 5 and 9", report.Unreadable, report.Queries, report.Sources[1].Lines)
	}
}

func TestOnlyTheFirstMistakesAreTold(t *testing.T) {
	const lines = 40_000 // some blocks
	report := read(t, Options{Workers: 4}, logOf("a.log", bytes.Repeat([]byte("{"+strings.Repeat(" ", 100)+"}\n"), lines)))
	if len(report.Mistakes) != maxMistakes || report.Mistakes[maxMistakes-1].Line != maxMistakes || report.Unreadable != lines {
		t.Errorf("%d of %d mistakes are told: %v, want the first %d", len(report.Mistakes), report.Unreadable, report.Mistakes, maxMistakes)
	}
}

// What a broken log says before it breaks is reported.
func TestBrokenLogs(t *testing.T) {
	content := hubLog(2000)
	packed := gzipped(t, content)
	tests := []struct {
		name   string
		source Source
		want   string
	}{
		{"a gzip file cut off", logOf("query.log.gz", packed[:len(packed)/2]), "query.log.gz: reading after line "},
		{"a zstd file cut off", logOf("query.log.zst", zstandard(t, content)[:5000]), "query.log.zst: reading after line "},
		{"no gzip file", logOf("query.log.gz", []byte("\x1f\x8bnothing")), "query.log.gz: unpacking gzip: "},
		{"no file", Source{Name: "absent.log", Open: func() (io.ReadCloser, error) { return nil, os.ErrNotExist }}, "absent.log: file does not exist"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			report, err := Read(context.Background(), []Source{tc.source, logOf("good.log", content)}, Options{})
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("Read() = %v, want %q", err, tc.want)
			}
			if report.Queries < 1833 || report.Sources[0].Error == "" {
				t.Errorf("the report is on %d queries and says %q of the broken log", report.Queries, report.Sources[0].Error)
			}
		})
	}
}

// Whatever a file holds, there is a report on it, and every line is accounted for.
func FuzzRead(f *testing.F) {
	few := hubLog(20)
	f.Add(few)
	f.Add(gzipped(f, few))
	f.Add(zstandard(f, few))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Add([]byte("{}\r\n\n\xff\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		report, _ := Read(context.Background(), []Source{logOf("fuzz", content)}, Options{Workers: 1})
		if told := report.Lines + report.PassedOver + report.Unreadable; told > report.Sources[0].Lines {
			t.Errorf("%d lines are told of, %d were read", told, report.Sources[0].Lines)
		}
		if text := printed(t, report); strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
			t.Errorf("the report is not printable: %q", text)
		}
		pageOf(t, report)
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	endless := &endlessLog{line: line(nothingSet), after: 5 << 20, end: cancel}
	report, err := Read(ctx, []Source{{Name: "-", Open: func() (io.ReadCloser, error) { return io.NopCloser(endless), nil }}, logOf("next", nil)}, Options{})
	if !errors.Is(err, context.Canceled) || report.Queries == 0 || len(report.Sources) != 1 {
		t.Errorf("Read() = %v with %d queries of %d logs, want it canceled with some of one", err, report.Queries, len(report.Sources))
	}
}

// endlessLog says the same line for ever, and calls end at some place.
type endlessLog struct {
	line     []byte
	at, read int
	after    int
	end      func()
}

func (l *endlessLog) Read(data []byte) (int, error) {
	for place := range data {
		data[place] = l.line[l.at]
		l.at = (l.at + 1) % len(l.line)
	}
	if l.read += len(data); l.read > l.after {
		l.end()
	}
	return len(data), nil
}
