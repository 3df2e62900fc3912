package querylog

import "sync/atomic"

const (
	// blockLength is the room of a block, and blockFull how many bytes it holds
	// when it is handed over: the next line, which is rarely longer than the
	// difference, still finds room. Larger blocks would not write faster.
	blockLength = 64 << 10
	blockFull   = 60 << 10
)

// block is a piece of a sink's input: whole encoded records, one after the other.
type block struct {
	data    []byte
	records int
}

// queue carries blocks from appenders to a sink's goroutine and back. It holds
// at most limit blocks, those on their way included, and nobody ever waits for
// a place in it: who finds no empty block drops.
type queue struct {
	full, empty chan *block
	made        atomic.Int32
	limit       int32
}

func newQueue(limit int) *queue {
	return &queue{full: make(chan *block, limit), empty: make(chan *block, limit), limit: int32(limit)}
}

// take returns an empty block; nil where all are in use.
func (q *queue) take() *block {
	select {
	case b := <-q.empty:
		return b
	default:
	}
	if q.made.Load() >= q.limit || q.made.Add(1) > q.limit {
		return nil
	}
	return &block{data: make([]byte, 0, blockLength)}
}

// give hands a block to the sink's goroutine. There is room for every block
// that was made, so it never waits.
func (q *queue) give(b *block) { q.full <- b }

// recycle takes a block back that the sink has done with.
func (q *queue) recycle(b *block) {
	if cap(b.data) > 2*blockLength {
		b.data = make([]byte, 0, blockLength) // a giant record must not stay
	}
	b.data, b.records = b.data[:0], 0
	q.empty <- b
}
