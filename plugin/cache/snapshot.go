package cache

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// ErrSnapshot says that a snapshot is damaged, cut off, or of another version. It
// is wrapped with what was found.
var ErrSnapshot = errors.New("cache snapshot cannot be used")

// A snapshot is the line below, then every entry's block behind its length (uint32,
// little endian), the least recently used of a shard first, then a length of 0, the
// number of blocks (uint64), and the xxHash64 of all before it. The line's number
// changes with the block's layout. Times are on the wall clock, where those of the
// cache's own blocks are on the steady one.
const snapshotLine = "privatelink-dns cache 1\n"

const (
	maxBlockSize = atView + maxViewSize + wire.MaximumSize
	minBlockSize = atView + headerSize + 5 // the shortest question is the root's
	checksumSize = 8
)

// WriteSnapshot writes the answers that can be used at a time, without the
// failures, and without those whose age the wall clock cannot tell, because it shows a
// time so early in 1970 that they would be from before. The cache can be used meanwhile: each shard is written as it is at some
// moment. It is for the caller to see that the file is whole before it replaces
// another. The error is the writer's.
func (c *Cache) WriteSnapshot(w io.Writer, now time.Time) error {
	buffered := bufio.NewWriter(w)
	checked := &checkedWriter{to: buffered, sum: xxhash.New()}
	checked.write([]byte(snapshotLine))
	count := uint64(0)
	shift := wallShift(now)
	for _, s := range c.shards {
		for _, entry := range s.usable(steady(now)) {
			stored := entry.stored() + shift
			if !storable(stored) {
				continue
			}
			checked.writeNumber(uint32(len(entry.block)))
			checked.writeNumber(stored)
			checked.write(entry.block[atLife:])
			count++
		}
		if checked.err != nil {
			break
		}
	}
	checked.writeNumber(uint32(0))
	checked.writeNumber(count)
	checked.writeNumber(checked.sum.Sum64())
	if checked.err != nil {
		return fmt.Errorf("writing a cache snapshot: %w", checked.err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing a cache snapshot: %w", err)
	}
	return nil
}

// checkedWriter sums what it writes, and keeps the first error.
type checkedWriter struct {
	to  io.Writer
	sum hash.Hash64
	err error
}

func (w *checkedWriter) write(data []byte) {
	if w.err == nil {
		_, _ = w.sum.Write(data) // it never fails
		_, w.err = w.to.Write(data)
	}
}

func (w *checkedWriter) writeNumber(number any) {
	data, _ := binary.Append(nil, binary.LittleEndian, number) // it fails for types without a size only
	w.write(data)
}

// ReadSnapshot brings in what WriteSnapshot wrote, but for entries that cannot be
// used any more, and returns how many it brought in. What the cache has already is
// newer and stays. A snapshot that is damaged, cut off, or of another version is
// an error, which wraps ErrSnapshot or the reader's, and brings in nothing: it is
// read whole before the first entry is put. It takes no more memory than the
// cache's own limits, and no more time than reading to the end.
func (c *Cache) ReadSnapshot(r io.Reader, now time.Time) (int, error) {
	reader := &snapshotReader{from: bufio.NewReader(r), sum: xxhash.New()}
	entries, err := c.readEntries(reader, now)
	if err != nil {
		return 0, fmt.Errorf("reading a cache snapshot: %w", err)
	}
	restored := 0
	for _, entry := range entries {
		key := entry.Key()
		hash := c.hash(&key)
		c.views.note(key.View)
		if c.shardOf(hash).restore(hash, entry) {
			restored++
		}
	}
	return restored, nil
}

func (c *Cache) readEntries(reader *snapshotReader, now time.Time) ([]Entry, error) {
	if line := reader.read(len(snapshotLine)); reader.err == nil && string(line) != snapshotLine {
		return nil, fmt.Errorf("%w: it begins with %q, expected %q", ErrSnapshot, line, snapshotLine)
	}
	limits := c.limits()
	var entries []Entry
	count, size := uint64(0), int64(0)
	for {
		block, err := reader.readBlock()
		if err != nil {
			return nil, err
		}
		if block == nil {
			break
		}
		count++
		entry := Entry{block: block}
		if err := entry.check(); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrSnapshot, count, err)
		}
		cost := kept{entry: entry}.size()
		if entry.usable(now.UnixNano()) && len(entries) < limits.Entries && size+cost <= limits.Bytes {
			binary.LittleEndian.PutUint64(block[atStored:], uint64(entry.stored()-wallShift(now)))
			entries, size = append(entries, entry), size+cost
		}
	}
	return entries, reader.readEnd(count)
}

// limits is what the cache holds at most.
func (c *Cache) limits() Limits {
	var limits Limits
	for _, s := range c.shards {
		limits.Entries += s.maxEntries
		limits.Bytes += s.maxBytes
	}
	if limits.Bytes == 0 {
		limits.Bytes = int64(limits.Entries) * (overhead + maxBlockSize)
	}
	return limits
}

// snapshotReader sums what it reads, and keeps the first error.
type snapshotReader struct {
	from io.Reader
	sum  hash.Hash64
	err  error
}

// read reads a number of bytes into new memory.
func (r *snapshotReader) read(length int) []byte {
	data := make([]byte, length)
	if r.err != nil {
		return data
	}
	if _, r.err = io.ReadFull(r.from, data); r.err == nil {
		_, _ = r.sum.Write(data) // it never fails
	} else if errors.Is(r.err, io.EOF) || errors.Is(r.err, io.ErrUnexpectedEOF) {
		r.err = fmt.Errorf("%w: it is cut off", ErrSnapshot)
	}
	return data
}

// readBlock reads an entry's block; nil at the end of the blocks.
func (r *snapshotReader) readBlock() ([]byte, error) {
	length := binary.LittleEndian.Uint32(r.read(4))
	switch {
	case r.err != nil:
		return nil, r.err
	case length == 0:
		return nil, nil
	case length < minBlockSize || length > maxBlockSize:
		return nil, fmt.Errorf("%w: an entry has %d bytes, expected %d to %d", ErrSnapshot, length, minBlockSize, maxBlockSize)
	}
	block := r.read(int(length))
	return block, r.err
}

// readEnd reads what follows the blocks.
func (r *snapshotReader) readEnd(count uint64) error {
	promised := binary.LittleEndian.Uint64(r.read(8))
	sum := r.sum.Sum64()
	stored := binary.LittleEndian.Uint64(r.read(checksumSize))
	switch {
	case r.err != nil:
		return r.err
	case promised != count:
		return fmt.Errorf("%w: it holds %d entries, expected %d", ErrSnapshot, count, promised)
	case stored != sum:
		return fmt.Errorf("%w: its checksum is %x, expected %x", ErrSnapshot, sum, stored)
	}
	if extra, _ := r.from.Read(make([]byte, 1)); extra > 0 {
		return fmt.Errorf("%w: there is something behind its end", ErrSnapshot)
	}
	return nil
}

// check reports what a block that was read from elsewhere lacks.
func (e Entry) check() error {
	message := atView + int(e.block[atViewSize])
	switch {
	case message+headerSize > len(e.block):
		return errors.New("its view is longer than it")
	case Kind(e.block[atKind]) >= Failure:
		return fmt.Errorf("it is of kind %d", e.block[atKind])
	case e.block[atFlags]&^allFlags != 0 || !e.Kept():
		return fmt.Errorf("its flags are %#x", e.block[atFlags])
	case e.block[atLife+3]|e.block[atStale+3] > 0x7f || !storable(e.stored()):
		return errors.New("its times are out of range")
	case !wire.Whole(e.Message()):
		return errors.New("its message is not whole")
	}
	return nil
}

// storable reports whether an answer in a snapshot can have been stored at a time.
func storable(stored int64) bool { return stored >= 0 && stored <= maxStored }

// maxStored leaves room for the longest life twice below the end of int64.
const maxStored = 1<<63 - 1 - 2*maxTTL*int64(time.Second)
