package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A snapshot is the magic with its version, the table's seed, the time it was
// taken (Unix seconds) and the time until which the memory was in doubt (Unix
// nanoseconds), the words, and the xxhash of all that; little-endian.
const (
	snapshotMagic  = "plchase1"
	snapshotHeader = len(snapshotMagic) + 24
	snapshotLength = snapshotHeader + memoryBytes + 8
)

// ErrSnapshotDamaged is wrapped by every error of RestoreChaseMemory.
var ErrSnapshotDamaged = errors.New("the snapshot of the chase memory is damaged")

// Snapshot returns the memory as bytes that RestoreChaseMemory reads: a little
// over 2 MiB, owned by the caller. What is remembered meanwhile may be missing.
func (m *ChaseMemory) Snapshot(now time.Time) []byte {
	data := make([]byte, 0, snapshotLength)
	data = append(data, snapshotMagic...)
	data = binary.LittleEndian.AppendUint64(data, m.seed)
	data = binary.LittleEndian.AppendUint64(data, uint64(now.Unix()))
	// Another process knows the wall clock only, as it is now.
	data = binary.LittleEndian.AppendUint64(data, uint64(now.Round(0).Add(m.doubtUntil.Sub(now)).UnixNano()))
	shift := now.Unix() - int64(m.seconds(now))
	for index := range m.words {
		data = binary.LittleEndian.AppendUint64(data, moved(m.words[index].Load(), shift))
	}
	return binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data))
}

// moved returns a word whose expiry, if it has one, is later by so many seconds.
func moved(word uint64, by int64) uint64 {
	expiry := int64(uint32(word))
	if expiry == 0 {
		return word
	}
	return word&^math.MaxUint32 | uint64(min(max(expiry+by, 1), math.MaxUint32))
}

// longestUptime is longer than a process has been in no doubt.
const longestUptime = 100 * 365 * 24 * time.Hour

// RestoreChaseMemory returns the memory that a snapshot holds, in doubt no longer
// than that was: the snapshot must have been taken when the last answer had gone out,
// so that nothing was given to anybody since. What expired meanwhile is
// forgotten by itself. A damaged snapshot is an error that wraps
// ErrSnapshotDamaged, and nothing of it is used.
func RestoreChaseMemory(data []byte, now time.Time) (*ChaseMemory, error) {
	if len(data) != snapshotLength {
		return nil, fmt.Errorf("%w: found %d bytes, expected %d", ErrSnapshotDamaged, len(data), snapshotLength)
	}
	if magic := string(data[:len(snapshotMagic)]); magic != snapshotMagic {
		return nil, fmt.Errorf("%w: found magic %q, expected %q", ErrSnapshotDamaged, magic, snapshotMagic)
	}
	body, sum := data[:len(data)-8], binary.LittleEndian.Uint64(data[len(data)-8:])
	if sum != xxhash.Sum64(body) {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrSnapshotDamaged)
	}
	header := body[len(snapshotMagic):]
	seed, taken := binary.LittleEndian.Uint64(header), binary.LittleEndian.Uint64(header[8:])
	if taken > uint64(now.Add(time.Minute).Unix()) {
		return nil, fmt.Errorf("%w: it was taken at %s, which is in the future", ErrSnapshotDamaged, time.Unix(int64(taken), 0).UTC().Format(time.RFC3339))
	}
	memory := NewChaseMemory(seed, now)
	doubtUntil := time.Unix(0, int64(binary.LittleEndian.Uint64(header[16:])))
	if now.Sub(doubtUntil) > longestUptime {
		return nil, fmt.Errorf("%w: it was in doubt until %s, before there was such a memory", ErrSnapshotDamaged, doubtUntil.UTC().Format(time.RFC3339))
	}
	if doubtUntil.Before(memory.doubtUntil) {
		memory.doubtUntil = now.Add(doubtUntil.Sub(now))
	}
	for index := range memory.words {
		memory.words[index].Store(binary.LittleEndian.Uint64(body[snapshotHeader+8*index:]))
	}
	return memory, nil
}
