package policy

import (
	"testing"
	"time"
	"unsafe"
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

// Whoever sets the wall clock takes no grant away and prolongs none, neither in this
// process nor in the next, which has the snapshot.
func TestGrantsWhileTheWallClockIsSet(t *testing.T) {
	for name, ahead := range map[string]time.Duration{
		"ahead": 3 * time.Hour, "back": -3 * time.Hour, "into the seventies": -50 * 365 * 24 * time.Hour, "not at all": 0,
	} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			m := NewChaseMemory(1, started)
			m.Remember(asker, chased, ttl, started)
			later := func(after time.Duration) time.Time { return set(t, started.Add(after), ahead) }
			expectMemory(t, m, asker, chased, later(64*time.Second), Remembered)
			expectMemory(t, m, asker, "db2."+chased, later(59*time.Second), NothingYet)
			expectMemory(t, m, asker, chased, later(67*time.Second), NotGiven)

			taken := later(20 * time.Second)
			// A time without a monotonic reading is of another process.
			next := restored(t, m.Snapshot(taken), taken.Round(0))
			for after, want := range map[time.Duration]Memory{43 * time.Second: Remembered, 47 * time.Second: NotGiven} {
				expectMemory(t, next, asker, chased, taken.Round(0).Add(after), want)
			}
			expectMemory(t, next, asker, "db2."+chased, taken.Round(0).Add(39*time.Second), NothingYet)
			expectMemory(t, next, asker, "db2."+chased, taken.Round(0).Add(41*time.Second), NotGiven)
		})
	}
}
