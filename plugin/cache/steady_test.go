package cache

import (
	"bytes"
	"testing"
	"time"
	"unsafe"

	"github.com/miekg/dns"
)

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

var clocks = map[string]time.Duration{
	"right": 0, "50 s behind": -50 * time.Second, "an hour behind": -time.Hour, "in the seventies": -50 * 365 * 24 * time.Hour,
	"50 s ahead": 50 * time.Second, "a day ahead": 24 * time.Hour, "20 years ahead": 20 * 365 * 24 * time.Hour,
}

func TestAgesAreNotReadFromTheWallClock(t *testing.T) {
	for name, ahead := range clocks {
		t.Run(name, func(t *testing.T) {
			c, key, other := newCache(), keyOf(t, db1, dns.TypeA), keyOf(t, "db2.database.windows.net.", dns.TypeA)
			stored := time.Now()
			c.Put(addressEntry(t, key, 60, stored))
			c.Put(mustMake(t, other, dns.RcodeServerFailure, stored, nil, nil))
			for after, want := range map[time.Duration]State{time.Second: Fresh, 61 * time.Second: Stale} {
				now := set(t, stored.Add(after), ahead)
				hit := c.Get(key, now)
				if hit.State != want {
					t.Fatalf("Get after %s = %v, want %v", after, hit.State, want)
				}
				if age := hit.Entry.Age(now); age != after {
					t.Errorf("Age after %s = %s", after, age)
				}
				if left := hit.Entry.Expires().Sub(now); left != 60*time.Second-after {
					t.Errorf("Expires after %s is in %s, want %s", after, left, 60*time.Second-after)
				}
			}
			if hit := c.Get(other, set(t, stored.Add(time.Second), ahead)); hit.State != Failed {
				t.Errorf("a second after a failure Get = %v, want %v", hit.State, Failed)
			}
			if hit := c.Get(other, set(t, stored.Add(6*time.Second), ahead)); hit.State != Miss {
				t.Errorf("6 s after a failure Get = %v, want %v", hit.State, Miss)
			}
		})
	}
}

// Another process knows nothing of this one's steady clock: a snapshot has the wall clock
// of when it was written. What was kept before it was set counts, too.
func TestASnapshotHasTheWallClockOfItsTime(t *testing.T) {
	for name, ahead := range clocks {
		t.Run(name, func(t *testing.T) {
			c, key := newCache(), keyOf(t, db1, dns.TypeA)
			stored := time.Now()
			c.Put(addressEntry(t, key, 60, stored))
			data := snapshotOf(t, c, set(t, stored.Add(20*time.Second), ahead))
			// A time without a monotonic reading is of another process.
			elsewhere, started := newCache(), stored.Round(0).Add(30*time.Second+ahead)
			if restored, err := elsewhere.ReadSnapshot(bytes.NewReader(data), started); err != nil || restored != 1 {
				t.Fatalf("ReadSnapshot = %d, %v, want 1", restored, err)
			}
			if hit := elsewhere.Get(key, started); hit.State != Fresh || hit.Entry.Age(started) != 30*time.Second {
				t.Errorf("in another process Get = %v", hit.State)
			}
			again := newCache()
			now := set(t, stored.Add(30*time.Second), ahead)
			if restored, err := again.ReadSnapshot(bytes.NewReader(data), now); err != nil || restored != 1 {
				t.Fatalf("ReadSnapshot = %d, %v, want 1", restored, err)
			}
			if hit := again.Get(key, stored.Add(30*time.Second)); hit.State != Fresh || hit.Entry.Age(now) != 30*time.Second {
				t.Errorf("in the same process Get = %v, %s old, want fresh, 30s", hit.State, hit.Entry.Age(now))
			}
		})
	}
}

// A machine without a battery for its clock begins in 1970. What is older than that
// clock's own time cannot be written, and must not spoil the rest.
func TestASnapshotOfEarly1970(t *testing.T) {
	c, older, newer := newCache(), keyOf(t, db1, dns.TypeA), keyOf(t, "db2.database.windows.net.", dns.TypeA)
	stored := time.Now()
	c.Put(addressEntry(t, older, 60, stored))
	c.Put(addressEntry(t, newer, 60, stored.Add(30*time.Second)))
	now := stored.Add(40 * time.Second)
	now = set(t, now, -time.Duration(now.Unix()-20)*time.Second)
	elsewhere, started := newCache(), now.Round(0)
	if restored, err := elsewhere.ReadSnapshot(bytes.NewReader(snapshotOf(t, c, now)), started); err != nil || restored != 1 {
		t.Fatalf("ReadSnapshot = %d, %v, want 1", restored, err)
	}
	if hit := elsewhere.Get(newer, started); hit.State != Fresh || hit.Entry.Age(started) != 10*time.Second {
		t.Errorf("Get = %v, want the answer that is 10 s old", hit.State)
	}
}
