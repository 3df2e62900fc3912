package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

func snapshotOf(t testing.TB, c *Cache, now time.Time) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := c.WriteSnapshot(&buffer, now); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// filled holds a chain, an NXDOMAIN in a view, and a failure.
func filled(t testing.TB) (c *Cache, chain, missing *Key) {
	t.Helper()
	c, chain, missing = newCache(), keyOf(t, db1, dns.TypeA), keyOf(t, "db2.database.windows.net.", dns.TypeA)
	missing.DO, missing.View = true, "inside"
	c.Put(mustMake(t, chain, 0, start, []string{toLink, atLink}, nil))
	c.Put(mustMake(t, missing, dns.RcodeNameError, start, nil, []string{"windows.net. 60" + soaTail + "60"}))
	c.Put(mustMake(t, keyOf(t, "db3.database.windows.net.", dns.TypeA), dns.RcodeServerFailure, start, nil, nil))
	return c, chain, missing
}

func TestSnapshotBringsAnswersBack(t *testing.T) {
	from, chain, missing := filled(t)
	to := New(Limits{Entries: 5000}, 99) // another seed, another number of shards
	restored, err := to.ReadSnapshot(iotest.OneByteReader(bytes.NewReader(snapshotOf(t, from, start))), start.Add(20*time.Second))
	if err != nil || restored != 2 {
		t.Fatalf("ReadSnapshot = %d, %v, want 2", restored, err)
	}
	for _, key := range []*Key{chain, missing} {
		before, after := from.Get(key, start.Add(20*time.Second)), to.Get(key, start.Add(20*time.Second))
		if after.State != before.State || !bytes.Equal(after.Entry.block, before.Entry.block) {
			t.Errorf("after the restart %v, want %v, and the same entry", after, before)
		}
	}
}

func TestSnapshotLeavesOut(t *testing.T) {
	from, chain, _ := filled(t)
	data := snapshotOf(t, from, start)
	tests := []struct {
		name   string
		now    time.Time
		limits Limits
		want   int
	}{
		{"what cannot be used even as stale", start.Add(time.Hour + 10*time.Second), Limits{Entries: 10}, 1},
		{"what lies in the future", start.Add(-time.Hour), Limits{Entries: 10}, 0},
		{"what is more than fits", start, Limits{Entries: 1}, 1},
		{"what takes more than the bytes", start, Limits{Entries: 10, Bytes: 400}, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if restored, err := New(tc.limits, 1).ReadSnapshot(bytes.NewReader(data), tc.now); err != nil || restored != tc.want {
				t.Errorf("ReadSnapshot = %d, %v, want %d", restored, err, tc.want)
			}
		})
	}
	if late := snapshotOf(t, from, start.Add(24*time.Hour)); len(late) != len(snapshotOf(t, newCache(), start)) {
		t.Errorf("what cannot be used any more is written: %d bytes", len(late))
	}
	newer := addressEntry(t, chain, 60, start.Add(time.Second))
	from.Put(newer)
	if restored, err := from.ReadSnapshot(bytes.NewReader(data), start); err != nil || restored != 0 {
		t.Errorf("ReadSnapshot over newer answers = %d, %v, want 0", restored, err)
	}
	if hit := from.Get(chain, start.Add(time.Second)); !bytes.Equal(hit.Entry.block, newer.block) {
		t.Error("an older answer took the place of a newer one")
	}
}

func TestADamagedSnapshotBringsNothing(t *testing.T) {
	from, _, _ := filled(t)
	data := snapshotOf(t, from, start)
	bad := func(name string, data []byte) {
		t.Helper()
		to := newCache()
		if restored, err := to.ReadSnapshot(bytes.NewReader(data), start); !errors.Is(err, ErrSnapshot) || restored != 0 || to.Len() != 0 {
			t.Errorf("%s: ReadSnapshot = %d, %v with %d entries, want %v and none", name, restored, err, to.Len(), ErrSnapshot)
		}
	}
	for length := range data {
		bad(fmt.Sprintf("cut to %d bytes", length), data[:length])
		flipped := bytes.Clone(data)
		flipped[length] ^= 0x10
		bad(fmt.Sprintf("bit flipped in byte %d", length), flipped)
	}
	bad("a byte behind", append(bytes.Clone(data), 0))
	bad("another version", []byte(strings.Replace(string(data), "cache 1", "cache 2", 1)))
}

func TestASnapshotThatCannotBeReadOrWritten(t *testing.T) {
	broken := errors.New("broken")
	if _, err := newCache().ReadSnapshot(iotest.ErrReader(broken), start); !errors.Is(err, broken) {
		t.Errorf("ReadSnapshot = %v, want %v", err, broken)
	}
	from, _, _ := filled(t)
	reader, writer := io.Pipe()
	_ = reader.CloseWithError(broken)
	if err := from.WriteSnapshot(writer, start); !errors.Is(err, broken) {
		t.Errorf("WriteSnapshot = %v, want %v", err, broken)
	}
}

// framed makes a snapshot of a block, with a checksum that is right.
func framed(block []byte) []byte {
	data := binary.LittleEndian.AppendUint32([]byte(snapshotLine), uint32(len(block)))
	data = append(data, block...)
	if len(block) > 0 {
		data = append(data, 0, 0, 0, 0)
	}
	count := uint64(min(len(block), 1))
	data = binary.LittleEndian.AppendUint64(data, count)
	return binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data))
}

// FuzzSnapshot reads any bytes as a snapshot, and as a block in a snapshot that is
// whole otherwise: nothing is half loaded, and whatever is loaded can be told and
// written again.
func FuzzSnapshot(f *testing.F) {
	from, chain, missing := filled(f)
	f.Add(snapshotOf(f, from, start))
	f.Add(from.Get(chain, start).Entry.block)
	f.Add(from.Get(missing, start).Entry.block)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, snapshot := range [][]byte{data, framed(data)} {
			c := newCache()
			restored, err := c.ReadSnapshot(bytes.NewReader(snapshot), start)
			if err != nil && (restored > 0 || c.Len() > 0) {
				t.Fatalf("half loaded: %d entries, and %v", c.Len(), err)
			}
			tellAll(t, c)
			if again, err := newCache().ReadSnapshot(bytes.NewReader(snapshotOf(t, c, start)), start); err != nil || again != c.Len() {
				t.Fatalf("written again %d of %d, %v", again, c.Len(), err)
			}
		}
	})
}

// tellAll composes a reply from every entry, at several ages.
func tellAll(t *testing.T, c *Cache) {
	t.Helper()
	for _, s := range c.shards {
		for _, value := range s.answers.Values() {
			key := value.entry.Key()
			query := wire.Query{Question: key.Question, EDNS: true, DO: key.DO, Size: wire.MinimumSize}
			for _, p := range []wire.Presentation{{}, {Flatten: true, Age: time.Hour}, {StaleTTL: 30}} {
				if reply := wire.AppendReply(nil, value.entry.Message(), &query, p); len(reply) > query.Size {
					t.Fatalf("a reply of %d bytes", len(reply))
				}
			}
			_, _, _ = value.entry.Meta(), value.entry.Rcode(), value.entry.StaleUntil()
			_ = c.Get(&key, value.entry.Stored())
		}
	}
}
