package policy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

func restored(t testing.TB, data []byte, now time.Time) *ChaseMemory {
	t.Helper()
	m, err := RestoreChaseMemory(data, now)
	if err != nil {
		t.Fatalf("RestoreChaseMemory() = %v, want nil", err)
	}
	return m
}

func TestRestoreKeepsGrants(t *testing.T) {
	before := NewChaseMemory(math.MaxUint64, noon.Add(-time.Hour))
	long, short, never := noon.Add(ttl+graceAfterCNAME), noon.Add(5*time.Second+graceAfterCNAME), "db3.privatelink.database.windows.net."
	before.Remember(asker, chased, ttl, noon)
	before.Remember(asker, "db2.privatelink.database.windows.net.", 5*time.Second, noon)
	after := restored(t, before.Snapshot(noon), noon.Add(time.Second))
	expectMemory(t, after, asker, chased, noon.Add(time.Second), Remembered)
	expectMemory(t, after, asker, chased, long.Add(-1), Remembered)
	expectMemory(t, after, asker, chased, long, NotGiven)
	expectMemory(t, after, asker, "db2.privatelink.database.windows.net.", short.Add(-1), Remembered)
	expectMemory(t, after, asker, "db2.privatelink.database.windows.net.", short, NotGiven)
	expectMemory(t, after, asker, never, noon.Add(time.Second), NotGiven)
	after.Remember(asker, never, ttl, noon.Add(time.Second))
	expectMemory(t, after, asker, never, noon.Add(time.Minute), Remembered)
}

// What overflowed before the restart stays in doubt after it.
func TestRestoreKeepsOverflow(t *testing.T) {
	before := settled()
	clients := neighbours(t, before, asker, chased, capacity+1)
	for _, client := range clients {
		before.Remember(client, chased, ttl, noon)
	}
	after := restored(t, before.Snapshot(noon), noon)
	expectMemory(t, after, asker, chased, noon.Add(ttl+graceAfterCNAME-1), Forgotten)
	expectMemory(t, after, asker, chased, noon.Add(ttl+graceAfterCNAME), NotGiven)
}

// A memory that was itself in its first minute does not know what the process
// before it gave out. A restart within that minute does not teach it: until
// the minute is over, what is not remembered stays NothingYet.
func TestRestoreKeepsDoubtOfFirstMinute(t *testing.T) {
	before := NewChaseMemory(1, noon)
	after := restored(t, before.Snapshot(noon.Add(10*time.Second)), noon.Add(11*time.Second))
	expectMemory(t, after, asker, chased, noon.Add(11*time.Second), NothingYet)
	expectMemory(t, after, asker, chased, noon.Add(time.Minute-1), NothingYet)
	expectMemory(t, after, asker, chased, noon.Add(time.Minute), NotGiven)
}

// A clock that was years ahead when the process started, and was set right
// since, is no reason to stay in doubt for years after the next start.
func TestRestoreAfterWrongClock(t *testing.T) {
	before := NewChaseMemory(1, noon.AddDate(73, 0, 0))
	after := restored(t, before.Snapshot(noon), noon)
	expectMemory(t, after, asker, chased, noon.Add(time.Minute), NotGiven)
}

func TestSnapshotOfRestoredIsTheSame(t *testing.T) {
	before := settled()
	before.Remember(asker, chased, ttl, noon)
	data := before.Snapshot(noon)
	if len(data) <= memoryBytes || len(data) > memoryBytes+1024 {
		t.Errorf("Snapshot() has %d bytes, want a little over %d", len(data), memoryBytes)
	}
	if again := restored(t, data, noon.Add(time.Hour)).Snapshot(noon); !bytes.Equal(data, again) {
		t.Error("Snapshot() of the restored memory differs, want the same bytes for the same time")
	}
}

// The snapshot belongs to the caller, and the restored memory keeps no hold on
// its bytes.
func TestSnapshotIsOwned(t *testing.T) {
	before := settled()
	before.Remember(asker, chased, ttl, noon)
	data := before.Snapshot(noon)
	after := restored(t, data, noon)
	clear(data)
	expectMemory(t, before, asker, chased, noon, Remembered)
	expectMemory(t, after, asker, chased, noon, Remembered)
	data = before.Snapshot(noon)
	kept := bytes.Clone(data)
	before.Remember(asker, "db2.privatelink.database.windows.net.", ttl, noon)
	if !bytes.Equal(data, kept) {
		t.Error("Remember() changed a snapshot that was taken before")
	}
}

// sealed makes the checksum right again.
func sealed(data []byte) []byte {
	end := len(data) - 8
	binary.LittleEndian.PutUint64(data[end:], xxhash.Sum64(data[:end]))
	return data
}

func TestRestoreDamaged(t *testing.T) {
	m := settled()
	m.Remember(asker, chased, ttl, noon)
	good := m.Snapshot(noon)
	flip := func(index int) func([]byte) []byte {
		return func(data []byte) []byte { data[index] ^= 1; return data }
	}
	at := func(taken uint64) func([]byte) []byte {
		return func(data []byte) []byte {
			binary.LittleEndian.PutUint64(data[len(snapshotMagic)+8:], taken)
			return sealed(data)
		}
	}
	tests := []struct {
		name   string
		damage func([]byte) []byte
		want   string
	}{
		{name: "empty", damage: func([]byte) []byte { return nil }, want: "found 0 bytes"},
		{name: "the magic only", damage: func(data []byte) []byte { return data[:len(snapshotMagic)] }, want: "bytes"},
		{name: "a byte short", damage: func(data []byte) []byte { return data[:len(data)-1] }, want: "bytes"},
		{name: "a byte long", damage: func(data []byte) []byte { return append(data, 0) }, want: "bytes"},
		{name: "twice", damage: func(data []byte) []byte { return append(data, data...) }, want: "bytes"},
		{name: "all zero", damage: func(data []byte) []byte { clear(data); return data }, want: "magic"},
		{name: "another magic", damage: flip(0), want: "magic"},
		{name: "another version", damage: func(data []byte) []byte { data[len(snapshotMagic)-1] = '0'; return sealed(data) }, want: "magic"},
		{name: "another seed", damage: flip(len(snapshotMagic)), want: "checksum"},
		{name: "another time", damage: flip(len(snapshotMagic) + 8), want: "checksum"},
		{name: "the first word", damage: flip(snapshotHeader), want: "checksum"},
		{name: "the last word", damage: flip(snapshotLength - 9), want: "checksum"},
		{name: "the first byte of the checksum", damage: flip(snapshotLength - 8), want: "checksum"},
		{name: "the last byte of the checksum", damage: flip(snapshotLength - 1), want: "checksum"},
		{name: "more than a minute in the future", damage: at(uint64(noon.Unix() + 61)), want: noon.Add(61 * time.Second).Format(time.RFC3339)},
		{name: "a year in the future", damage: at(uint64(noon.AddDate(1, 0, 0).Unix())), want: "future"},
		{name: "beyond every calendar", damage: at(math.MaxInt64), want: "future"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m, err := RestoreChaseMemory(tc.damage(bytes.Clone(good)), noon)
			if m != nil || !errors.Is(err, ErrSnapshotDamaged) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("RestoreChaseMemory() = %p, %v, want nil and an error that wraps ErrSnapshotDamaged and tells %q", m, err, tc.want)
			}
		})
	}
}

// Clocks of two processes on one machine differ by a little at most; a
// snapshot of last year is no harm, since all of it has expired.
func TestRestoreAges(t *testing.T) {
	m := settled()
	m.Remember(asker, chased, ttl, noon)
	tests := []struct {
		name string
		now  time.Time
		want Memory
	}{
		{name: "a minute before it was taken", now: noon.Add(-time.Minute), want: Remembered},
		{name: "at once", now: noon, want: Remembered},
		{name: "a second later", now: noon.Add(time.Second), want: Remembered},
		{name: "a year later", now: noon.AddDate(1, 0, 0), want: NotGiven},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			expectMemory(t, restored(t, m.Snapshot(noon), tc.now), asker, chased, tc.now, tc.want)
		})
	}
}

// FuzzRestoreChaseMemory reads arbitrary bytes as they are, and also laid over
// a good snapshot, with a checksum that is right or not: arbitrary bytes alone
// would never get past the length.
func FuzzRestoreChaseMemory(f *testing.F) {
	m := settled()
	m.Remember(asker, chased, ttl, noon)
	good := m.Snapshot(noon)
	f.Add([]byte{}, uint32(0), false)
	f.Add([]byte(snapshotMagic), uint32(0), true)
	f.Add(bytes.Repeat([]byte{0xff}, 16), uint32(len(snapshotMagic)), true)
	f.Add(bytes.Repeat([]byte{0xff}, 64), uint32(snapshotHeader), true)
	f.Add([]byte{1}, uint32(snapshotLength-1), false)
	f.Fuzz(func(t *testing.T, patch []byte, offset uint32, seal bool) {
		if len(patch) != snapshotLength {
			if _, err := RestoreChaseMemory(patch, noon); !errors.Is(err, ErrSnapshotDamaged) {
				t.Errorf("RestoreChaseMemory(%d bytes) = %v, want an error that wraps ErrSnapshotDamaged", len(patch), err)
			}
		}
		data := bytes.Clone(good)
		copy(data[int(offset)%len(data):], patch)
		if seal {
			sealed(data)
		}
		memory, err := RestoreChaseMemory(data, noon)
		if err != nil {
			if memory != nil || !errors.Is(err, ErrSnapshotDamaged) {
				t.Errorf("RestoreChaseMemory() = %p, %v, want nil and an error that wraps ErrSnapshotDamaged", memory, err)
			}
			return
		}
		if !seal && !bytes.Equal(data, good) {
			t.Error("RestoreChaseMemory() took changed bytes with the old checksum")
		}
		taken, doubt := time.Unix(int64(binary.LittleEndian.Uint64(data[len(snapshotMagic)+8:])), 0), data[len(snapshotMagic)+16:]
		if last := noon.Add(time.Minute).UnixNano(); int64(binary.LittleEndian.Uint64(doubt)) > last {
			binary.LittleEndian.PutUint64(doubt, uint64(last))
			sealed(data)
		}
		if !bytes.Equal(memory.Snapshot(taken), data) {
			t.Error("Snapshot() of the restored memory differs from what was restored, want the same bytes for the same time")
		}
		memory.Remember(asker, "db2.privatelink.database.windows.net.", ttl, noon)
		if got := memory.Remembers(asker, "db2.privatelink.database.windows.net.", noon); got != Remembered {
			t.Errorf("Remembers() = %s right after Remember, want Remembered", memoryNames[got])
		}
	})
}
