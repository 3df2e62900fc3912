package logreport

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was written with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it anew)", path, got, want)
	}
}

func TestTextGolden(t *testing.T) {
	hub := hubLog(8_000)
	broken := append([]byte("{\"time\"\n\n"), line(nothingSet)...)
	tests := []struct {
		file    string
		options Options
		source  Source
	}{
		{"hub.golden", Options{Top: 5}, logOf("query.log", hub)},
		{"empty.golden", Options{}, logOf("query.log", nil)},
		{"broken.golden", Options{}, logOf("query.log", broken)},
	}
	for _, tc := range tests {
		t.Run(tc.file, func(t *testing.T) {
			var out bytes.Buffer
			if err := read(t, tc.options, tc.source).WriteText(&out, 80, Style{}); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.file, out.Bytes())
			for number, line := range strings.Split(out.String(), "\n") {
				if width(line) > 80 {
					t.Errorf("line %d has %d columns, want at most 80: %s", number+1, width(line), line)
				}
			}
		})
	}
}
