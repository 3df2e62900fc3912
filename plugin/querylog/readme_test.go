package querylog

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// firstCells returns the code in the first cell of each row of the first table
// after a heading.
func firstCells(t *testing.T, text, heading string) (cells []string) {
	t.Helper()
	_, section, found := strings.Cut(text, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("the README has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(section, -1) {
		cells = append(cells, match[1])
	}
	return cells
}

// The schema and the mapping name every field, in the order of the line, and
// the example is a line.
func TestReadmeNamesEveryField(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, heading := range []string{"A line", "Where other systems have it"} {
		if got := firstCells(t, text, heading); !slices.Equal(got, fieldNames()) {
			t.Errorf("section %q names\n%q\nwant\n%q", heading, got, fieldNames())
		}
	}
	_, example, _ := strings.Cut(text, "```json\n")
	example, _, _ = strings.Cut(example, "```")
	if want := string(AppendJSON(nil, exampleRecord())); example != want {
		t.Errorf("the example is\n%s\nwant\n%s", example, want)
	}
}

func exampleRecord() *Record {
	r := hitRecord()
	r.ClientClass = "stub"
	return r
}

// Each column of the mapping is one of the shipped table, made of that field.
func TestReadmeMapsToTheTable(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, _, table := readTemplate(t)
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([*A-Z][A-Za-z, *]*) \\| [^|]*\\|$").FindAllStringSubmatch(string(data), -1)
	if len(rows) != len(fieldNames()) {
		t.Fatalf("the mapping has %d rows, want %d", len(rows), len(fieldNames()))
	}
	for _, row := range rows {
		for name := range strings.SplitSeq(strings.ReplaceAll(row[2], "*", ""), ", ") {
			if table[name] == "" {
				t.Errorf("the README maps %s to %s, which the table does not have", row[1], name)
			}
		}
	}
}
