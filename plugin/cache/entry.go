package cache

import (
	"encoding/binary"
	"strings"
	"time"
	"unsafe"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// Kind is what sort of answer an entry is.
type Kind uint8

// The kinds. NODATA and NXDOMAIN may come with a CNAME chain, whose end they are
// about.
const (
	// Positive: there are records of the type asked for.
	Positive Kind = iota
	// NoData: the name exists, records of the type do not (RFC 2308 section 2.2).
	NoData
	// NXDomain: the name does not exist.
	NXDomain
	// Failure: the upstream gave no answer, or another rcode (RFC 9520).
	Failure
)

var kindNames = [...]string{Positive: "positive", NoData: "nodata", NXDomain: "nxdomain", Failure: "failure"}

// String returns the kind in lower case.
func (k Kind) String() string { return kindNames[k] }

// Meta is what the caller wants to know again about an answer. The cache reads
// none of it. It outlives the process in a snapshot, so numbers that stand for
// names must be the same in the next one, hashes of the names for example.
type Meta struct {
	// Verdict is what the answer means.
	Verdict uint8
	// Flags are for the caller.
	Flags uint8
	// ExtendedError is the INFO-CODE to tell with the answer, and whether there is
	// one is for Flags to say.
	ExtendedError uint16
	// Group is the upstream group that was asked. Where the question's route now
	// names another, the entry is the caller's miss.
	Group uint32
	// Site is the site that the answer came from, or what else tells its origin.
	Site uint32
}

// Entry is an answer or a failure with its times. It is an immutable value over
// one block of memory and may be used by any number of goroutines, also after the
// cache has dropped it. The zero value is no entry, which Exists tells; its other
// methods must not be called.
type Entry struct {
	block []byte
}

// The block: fixed fields, the view's name, and the message, whose question is
// part of the key. Behind the message of a failure stand its reason and the reason's
// length in one octet; failures are in no snapshot.
const (
	atStored   = 0  // int64, nanoseconds since 1970 on the steady clock
	atLife     = 8  // uint32, seconds
	atStale    = 12 // uint32, seconds after the life's end; for a failure see HeldUntil
	atKind     = 16
	atFlags    = 17
	atVerdict  = 18
	atMeta     = 19 // Meta.Flags
	atError    = 20
	atGroup    = 22
	atSite     = 26
	atViewSize = 30
	atView     = 31
)

// Bits at atFlags.
const (
	flagDO = 1 << iota
	flagCD
	flagKept
	allFlags = flagDO | flagCD | flagKept
)

// Exists reports whether this is an entry.
func (e Entry) Exists() bool { return len(e.block) > 0 }

// Same reports whether both are one entry, not only equal ones. It may be called of the
// zero value.
func (e Entry) Same(other Entry) bool {
	return unsafe.SliceData(e.block) == unsafe.SliceData(other.block)
}

// Identity is a number that another entry does not have as long as this one is held.
func (e Entry) Identity() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(e.block))) }

// Kept reports whether the cache keeps this entry. One that is not kept can be
// told to who asked for it.
func (e Entry) Kept() bool { return e.block[atFlags]&flagKept != 0 }

// Message returns the answer in the form that wire.AppendReply takes. It is part
// of the entry and must not be changed.
func (e Entry) Message() []byte {
	end := len(e.block)
	if e.block[atKind] == uint8(Failure) {
		end -= 1 + int(e.block[end-1])
	}
	return e.block[atView+int(e.block[atViewSize]) : end]
}

// maxReasonSize is what one octet counts, and what an extended error tells.
const maxReasonSize = 255

// WithReason returns the failure with what failed, in a line of text for people, which is
// cut at 255 octets. An answer has no reason and is returned as it is.
func (e Entry) WithReason(text string) Entry {
	if e.Kind() != Failure {
		return e
	}
	if len(text) > maxReasonSize {
		text = strings.ToValidUTF8(text[:maxReasonSize], "")
	}
	without := len(e.block) - 1 - int(e.block[len(e.block)-1])
	block := make([]byte, 0, without+len(text)+1)
	block = append(append(block, e.block[:without]...), text...)
	return Entry{block: append(block, byte(len(text)))}
}

// AppendReason appends what failed, nothing where nobody said or where there is an answer.
func (e Entry) AppendReason(buffer []byte) []byte {
	if e.Kind() != Failure {
		return buffer
	}
	end := len(e.block) - 1
	return append(buffer, e.block[end-int(e.block[end]):end]...)
}

// Kind returns what sort of answer this is.
func (e Entry) Kind() Kind { return Kind(e.block[atKind]) }

// Rcode returns the rcode of the message, 0 to 15.
func (e Entry) Rcode() int { return int(e.Message()[3] & 0xf) }

// Meta returns what the caller wanted to know again.
func (e Entry) Meta() Meta {
	return Meta{
		Verdict:       e.block[atVerdict],
		Flags:         e.block[atMeta],
		ExtendedError: binary.LittleEndian.Uint16(e.block[atError:]),
		Group:         binary.LittleEndian.Uint32(e.block[atGroup:]),
		Site:          binary.LittleEndian.Uint32(e.block[atSite:]),
	}
}

// TTL returns how long the answer lives from Stored on, in whole seconds; 0 where
// the entry is not Kept.
func (e Entry) TTL() time.Duration { return time.Duration(e.life()) }

// Stored returns when the entry was made. It has a monotonic reading, as the times below:
// compared with others of this process they are right though somebody sets the wall
// clock. What they show is its time as if nobody had since the process began.
func (e Entry) Stored() time.Time { return moment(e.stored()) }

// Expires returns when the answer ceases to be fresh, or the failure to be an
// answer.
func (e Entry) Expires() time.Time { return moment(e.expires()) }

// StaleUntil returns until when the answer may be used though it has expired.
func (e Entry) StaleUntil() time.Time { return moment(e.end()) }

// HeldUntil returns until when the question is not to be asked again after this
// failure where there is an answer that can be used meanwhile. It means nothing
// for answers.
func (e Entry) HeldUntil() time.Time { return moment(e.held()) }

// Age returns how old the entry is, 0 at least.
func (e Entry) Age(now time.Time) time.Duration {
	return time.Duration(max(0, steady(now)-e.stored()))
}

// Key returns the key that the entry was made with. It allocates where there is a
// view.
func (e Entry) Key() Key {
	flags := e.block[atFlags]
	question := wire.StoredQuestion(e.Message())
	return Key{Question: question, DO: flags&flagDO != 0, CD: flags&flagCD != 0, View: string(e.view())}
}

func (e Entry) view() []byte { return e.block[atView : atView+int(e.block[atViewSize])] }

// Times in nanoseconds since 1970 on the steady clock, durations in nanoseconds.

func (e Entry) stored() int64 { return int64(binary.LittleEndian.Uint64(e.block[atStored:])) }

func (e Entry) life() int64 { return seconds(e.block[atLife:]) }

func (e Entry) expires() int64 { return e.stored() + e.life() }

func (e Entry) end() int64 { return e.expires() + seconds(e.block[atStale:]) }

func (e Entry) held() int64 { return e.stored() + seconds(e.block[atStale:]) }

// lastUse is when the entry is of no use to anybody any more.
func (e Entry) lastUse() int64 {
	if e.Kind() == Failure {
		return max(e.expires(), e.held())
	}
	return e.end()
}

func seconds(at []byte) int64 {
	return int64(binary.LittleEndian.Uint32(at)) * int64(time.Second)
}

// isFor reports whether the entry was made with a key.
func (e Entry) isFor(key *Key) bool {
	const wanted = flagDO | flagCD
	return e.block[atFlags]&wanted == key.flags() && string(e.view()) == key.View && e.asks(&key.Question)
}

// asks compares the question section in the message with a question.
func (e Entry) asks(question *wire.Question) bool {
	message, name := e.Message(), question.Name()
	end := headerSize + len(name)
	return len(message) >= end+4 && string(message[headerSize:end]) == string(name) &&
		binary.BigEndian.Uint16(message[end:]) == question.Type &&
		binary.BigEndian.Uint16(message[end+2:]) == question.Class
}

// headerSize is the size of a message's header, behind which the question is.
const headerSize = 12

// life is how long something may be used, in whole seconds.
type life struct{ fresh, stale uint32 }

// newEntry makes the block, with a packed message.
func newEntry(key *Key, kind Kind, kept bool, meta Meta, times life, now time.Time, packed []byte) Entry {
	flags := key.flags()
	if kept && len(key.View) <= maxViewSize {
		flags |= flagKept
	}
	view := key.View[:min(len(key.View), maxViewSize)]
	size := atView + len(view) + len(packed)
	if kind == Failure {
		size++
	}
	block := make([]byte, atView, size)
	binary.LittleEndian.PutUint64(block[atStored:], uint64(steady(now)))
	binary.LittleEndian.PutUint32(block[atLife:], times.fresh)
	binary.LittleEndian.PutUint32(block[atStale:], times.stale)
	block[atKind], block[atFlags] = uint8(kind), flags
	block[atVerdict], block[atMeta] = meta.Verdict, meta.Flags
	binary.LittleEndian.PutUint16(block[atError:], meta.ExtendedError)
	binary.LittleEndian.PutUint32(block[atGroup:], meta.Group)
	binary.LittleEndian.PutUint32(block[atSite:], meta.Site)
	block[atViewSize] = uint8(len(view))
	block = append(append(block, view...), packed...)
	return Entry{block: block[:size]} // of a failure, the reason's length is 0
}

// name returns the question's name in the message, in wire form.
func (e Entry) name() []byte {
	name := e.Message()[headerSize:]
	end := 0
	for name[end] != 0 {
		end += 1 + int(name[end])
	}
	return name[:end+1]
}
