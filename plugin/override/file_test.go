package override

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// kept returns a store that is kept in a file of a new directory.
func kept(t *testing.T) (*Store, string) {
	t.Helper()
	store, path := new(Store), filepath.Join(t.TempDir(), "overrides.json")
	if restored, err := store.Restore(path, night); restored != 0 || err != nil {
		t.Fatalf("Restore of nothing = %d, %v; want neither", restored, err)
	}
	return store, path
}

func TestOverridesSurviveARestart(t *testing.T) {
	store, path := kept(t)
	for index, c := range []Change{change(TypeA, "10.0.2.4", "10.0.2.5"), change(TypeAAAA, "fd00::4"), change(TypeCNAME, "db2.example"), change(TypeResolve, "public")} {
		c.Name, c.Reason = fmt.Sprintf("n%d.example", index), `quotes " and <brackets> – & more`
		add(t, store, c)
	}
	short := change(TypeA, "10.0.2.9")
	short.For = time.Hour
	add(t, store, short)

	next, after := new(Store), night.Add(2*time.Hour)
	if restored, err := next.Restore(path, after); restored != 4 || err != nil {
		t.Fatalf("Restore = %d, %v; want the 4 that are still in force", restored, err)
	}
	if got, want := next.List(after), store.List(after); !reflect.DeepEqual(got, want) {
		t.Errorf("after the restart %+v, want %+v", got, want)
	}
	// What the next process does is written, too, down to nothing.
	for _, o := range next.List(after) {
		if _, err := next.Remove(o.Name, after); err != nil {
			t.Fatal(err)
		}
	}
	if restored, err := new(Store).Restore(path, after); restored != 0 || err != nil {
		t.Errorf("Restore of an emptied file = %d, %v; want neither", restored, err)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(files) != 1 {
		t.Errorf("the directory has %v, want one file", files)
	}
}

func TestTheLargestOverrideIsReadBack(t *testing.T) {
	store, path := kept(t)
	long := strings.Repeat(strings.Repeat("a", 62)+".", 4) + "x."
	for _, rrtype := range []string{TypeA, TypeAAAA} {
		c := change(rrtype)
		for index := range MaxAddresses {
			address := fmt.Sprintf("255.255.255.%d", 100+index)
			if rrtype == TypeAAAA {
				address = fmt.Sprintf("fd00:ffff:ffff:ffff:ffff:ffff:ffff:ff%x", 0x10+index)
			}
			c.Values = append(c.Values, address)
		}
		c.Name, c.Reason, c.Who = long, strings.Repeat(`"`, MaxReason), strings.Repeat(`\`, MaxWho)
		add(t, store, c)
	}
	if restored, err := new(Store).Restore(path, night); restored != 1 || err != nil {
		t.Errorf("Restore = %d, %v; want the one", restored, err)
	}
}

func TestSecondRestoreDoesNothing(t *testing.T) {
	store, path := kept(t)
	add(t, store, change(TypeA, "10.0.2.4"))
	for _, again := range []string{path, filepath.Join(t.TempDir(), "another.json")} {
		if restored, err := store.Restore(again, night); restored != 0 || err != nil || store.path != path {
			t.Errorf("Restore again = %d, %v from %s; want nothing to change", restored, err, store.path)
		}
	}
}

const one = `{"name":"a.example.","a":["10.0.2.4"],"reason":"r","who":"w","created":"2026-03-14T03:00:00Z","expires":"2026-03-14T07:00:00Z"}`

func file(overrides ...string) string {
	return `{"version":1,"overrides":[` + strings.Join(overrides, ",") + `]}`
}

func TestReadRefuses(t *testing.T) {
	if list, err := read(strings.NewReader(file(one))); err != nil || len(list) != 1 {
		t.Fatalf("read of a file without damage = %v, %v; want one override", list, err)
	}
	with := func(old, replacement string) string { return file(strings.Replace(one, old, replacement, 1)) }
	tests := []struct{ name, text, want string }{
		{"an empty file", "", "EOF"},
		{"a file that is cut off", file(one)[:100], "EOF"},
		{"something else", "not a file", "invalid character"},
		{"something behind the end", file(one) + "{}", "behind the end"},
		{"another version", strings.Replace(file(one), "1", "2", 1), "found version 2, expected 1"},
		{"a missing list", `{"version":1}`, "found no list of overrides"},
		{"no list", `{"version":1,"overrides":null}`, "no list"},
		{"an unknown field", `{"version":1,"overrides":[],"more":1}`, `unknown field "more"`},
		{"an unknown field of an override", with(`"who"`, `"more":1,"who"`), `override 1: json: unknown field "more"`},
		{"an override that is none", file(one, "null"), "override 2: "},
		{"the same name twice", file(one, one), "found a second one of a.example."},
		{"a name in another spelling", with("a.example.", "A.example"), `found name "A.example"`},
		{"an address of the wrong family", with("10.0.2.4", "fd00::4"), "no address for a record of type A"},
		{"an empty address", with("10.0.2.4", ""), "no address for"},
		{"no answer", with(`"a":["10.0.2.4"],`, ""), "found 0 kinds of answer"},
		{"two answers", with(`"who"`, `"cname":"b.example.","who"`), "found 2 kinds of answer"},
		{"no reason", with(`"r"`, `""`), "found no reason"},
		{"a life of years", with("2026-03-14T07", "2030-03-14T07"), "found a duration"},
		{"a huge override", file(strings.Replace(one, `"10.0.2.4"`, strings.Repeat(`"",`, 2000)+`""`, 1)), "expected at most 4096"},
		{"too many", file(strings.TrimSuffix(strings.Repeat("{},", MaxOverrides+1), ",")), "found more than 10000"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if list, err := read(strings.NewReader(tc.text)); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), tc.want) || list != nil {
				t.Errorf("read = %v, %v; want nothing and %q", list, err, tc.want)
			}
		})
	}
}

func TestDamagedFileIsKeptAside(t *testing.T) {
	store, path := new(Store), filepath.Join(t.TempDir(), "overrides.json")
	const damaged = `{"version":1,"overrides":[` + one
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	aside := path + ".damaged-20260314T030000Z"
	if restored, err := store.Restore(path, night); restored != 0 || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), aside) {
		t.Fatalf("Restore = %d, %v; want nothing, and where the file is now", restored, err)
	}
	if data, err := os.ReadFile(aside); string(data) != damaged {
		t.Errorf("%s has %q, %v; want the damaged file", aside, data, err)
	}
	add(t, store, change(TypeA, "10.0.2.4"))
	if restored, err := new(Store).Restore(path, night); restored != 1 || err != nil {
		t.Errorf("Restore of what was added since = %d, %v; want one", restored, err)
	}
}

func TestFileThatCannotBeReadIsNotTouched(t *testing.T) {
	store, path := new(Store), t.TempDir() // a directory opens, but cannot be read
	if _, err := store.Restore(path, night); err == nil || errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "will not survive") {
		t.Errorf("Restore = %v, want the reader's error and what follows from it", err)
	}
	add(t, store, change(TypeA, "10.0.2.4"))
	if _, found := store.Find(name, night); !found {
		t.Error("the override is not in force")
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 1 {
		t.Errorf("found %v, want nothing new", files)
	}
}

func TestChangeIsInForceThoughItCannotBeWritten(t *testing.T) {
	store, path := kept(t)
	add(t, store, change(TypeA, "10.0.2.4"))
	store.path = filepath.Join(filepath.Dir(path), "gone", "overrides.json")
	c := change(TypeA, "10.0.2.9")
	added, _, err := store.Add(c, night)
	if found, _ := store.Find(name, night); !errors.Is(err, ErrNotWritten) || added == nil || found != added {
		t.Errorf("Add = %v, %v with %v in force; want it in force and ErrNotWritten", added, err, found)
	}
	if removed, err := store.Remove(name, night); !errors.Is(err, ErrNotWritten) || removed != added || len(store.List(night)) != 0 {
		t.Errorf("Remove = %v, %v; want it removed and ErrNotWritten", removed, err)
	}
}

// set returns a time as the same moment is read after the wall clock was set ahead by so
// much: its monotonic reading is as before. The layout is that of package time, which
// keeps the seconds of the wall clock above 30 bits of nanoseconds.
func set(t testing.TB, moment time.Time, ahead time.Duration) time.Time {
	t.Helper()
	read := moment
	*(*uint64)(unsafe.Pointer(&read)) += uint64(ahead/time.Second) << 30
	if read.Sub(moment) != 0 || read.Round(0).Sub(moment.Round(0)) != ahead {
		t.Fatalf("the wall clock of %v reads %v, want %s ahead, with the monotonic reading", moment, read, ahead)
	}
	return read
}

// The file has the wall clock's times, and that is all that the next process knows: who
// has set the clock since an override was made neither prolongs nor ends it by a restart.
func TestTimesFollowAClockThatIsSet(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour behind": -time.Hour, "20 years ahead": 20 * 365 * 24 * time.Hour, "in the seventies": -50 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			made := time.Now()
			path, store := filepath.Join(t.TempDir(), "overrides.json"), new(Store)
			if _, err := store.Restore(path, made); err != nil {
				t.Fatal(err)
			}
			c := change(TypeA, "10.0.2.4")
			c.For = 30 * time.Minute
			if _, _, err := store.Add(c, made); err != nil {
				t.Fatal(err)
			}
			now := set(t, made.Add(10*time.Minute), ahead)
			around := func(when string, o *Override) {
				if left := o.Expires.Sub(now.Round(0)); (left-20*time.Minute).Abs() > time.Second || o.Expires.Sub(o.Created) != c.For {
					t.Errorf("%s it is left %s of %s, want 20m0s of 30m0s", when, left, o.Expires.Sub(o.Created))
				}
			}
			listed := store.List(now)[0]
			around("in a list", listed)
			if text, until := listed.Explanation(now), listed.Expires.Format(time.RFC3339); !strings.HasSuffix(text, "until "+until) {
				t.Errorf("Explanation = %q, want until %s", text, until)
			}
			if expired, err := store.Expire(now); len(expired) != 0 || err != nil {
				t.Errorf("Expire = %v, %v, want neither", expired, err)
			}
			next, later := new(Store), now.Round(0) // no process reads another's monotonic clock
			if restored, err := next.Restore(path, later); restored != 1 || err != nil {
				t.Fatalf("Restore = %d, %v, want 1", restored, err)
			}
			around("after a restart", next.List(later)[0])
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(file(one)))
	f.Add([]byte(file()))
	f.Add([]byte(file(strings.Replace(one, `"a":["10.0.2.4"]`, `"cname":"b.example."`, 1), one)))
	f.Add([]byte(file(strings.Replace(one, `"a":["10.0.2.4"]`, `"group":"public"`, 1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := read(bytes.NewReader(data))
		if err != nil {
			return
		}
		// What was read can be told, and is the same when it is written and read again.
		for _, o := range list {
			o.Records(255, night)
			if o.Answer() == "" || len(o.Explanation(night)) > 240 {
				t.Errorf("%+v tells %q", o, o.Explanation(night))
			}
		}
		var written bytes.Buffer
		if err := encode(&written, list); err != nil {
			t.Fatal(err)
		}
		again, err := read(&written)
		if err != nil || len(again) != len(list) {
			t.Fatalf("reading again %d overrides gave %d, %v", len(list), len(again), err)
		}
		for index := range list {
			if !reflect.DeepEqual(again[index], list[index]) {
				t.Errorf("read again %+v, want %+v", again[index], list[index])
			}
		}
	})
}
