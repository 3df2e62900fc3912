package wire

import (
	"testing"

	"github.com/miekg/dns"
)

func TestSameName(t *testing.T) {
	const owner = "db1.database.windows.net."
	for _, tc := range []struct {
		name string
		want bool
	}{
		{owner, true},
		{"DB1.Database.windows.NET.", true},
		{"db2.database.windows.net.", false},
		{"x.db1.database.windows.net.", false},
		{"database.windows.net.", false},
		{"db1.database.windows.net", false},
		{"", false},
	} {
		if got := SameName(tc.name, owner); got != tc.want {
			t.Errorf("SameName(%q, %q) = %v, want %v", tc.name, owner, got, tc.want)
		}
	}
}

// A name is compared where it stands as it would be written out.
func TestIsName(t *testing.T) {
	message := []byte("\x03DB1\x08database\x00" + "\x03www\xc0\x04" + "\xc0\x0e" + "\xc0\x16" + "\x03db" + "\xc0")
	for at := range message {
		var whole [maxNameSize]byte
		length := expandName(message, at, &whole)
		lowerName(whole[:length])
		for _, name := range []string{"db1.database.", "database.", "www.database.", "db1.", "."} {
			question, err := NewQuestion(name, dns.TypeA, dns.ClassINET)
			if err != nil {
				t.Fatal(err)
			}
			want := length > 0 && string(whole[:length]) == string(question.Name())
			if got := isName(message, at, question.Name()); got != want {
				t.Errorf("isName at %d of %q = %v, want %v", at, name, got, want)
			}
		}
	}
}

func TestCanonicalName(t *testing.T) {
	for _, name := range []string{"", ".", "a.example", "a\\.", "a.example.", "A.Example.", "\\195\\132.Example.", "\xc3\x84.Example.", "A\\.B.example.", "@Z[`{.example."} {
		if got, want := CanonicalName(name), dns.CanonicalName(name); got != want {
			t.Errorf("CanonicalName(%q) = %q, want %q", name, got, want)
		}
	}
}
