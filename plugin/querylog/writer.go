package querylog

import (
	"bytes"
	"io"
	"sync"
)

// queueLength is how many records may wait for the sink: a second's worth of a
// busy server, so that a short stall of the disk loses nothing.
const queueLength = 8192

// pieceLength is how many bytes are handed to the sink at once at most, save
// for the length of one line.
const pieceLength = 64 << 10

// Writer writes records to a sink from a goroutine of its own. Log never waits.
// It is safe for concurrent use.
type Writer struct {
	queue  chan *Record
	done   chan struct{}
	once   sync.Once
	lost   func(records int)
	mutex  sync.RWMutex
	closed bool
	// torn belongs to the goroutine: the sink ends in a part of a line.
	torn bool
}

// NewWriter starts writing to a sink, which it does not close. Lost is told of
// every record that was dropped, from several goroutines at once; it must not
// block. Close must be called to write what is queued and to end the goroutine.
func NewWriter(sink io.Writer, lost func(records int)) *Writer {
	w := &Writer{queue: make(chan *Record, queueLength), done: make(chan struct{}), lost: lost}
	go w.run(sink)
	return w
}

// Log takes a record over; the caller must not touch it again. A record that
// finds the queue full, or the writer closed, is dropped and counted.
func (w *Writer) Log(record *Record) {
	w.mutex.RLock()
	defer w.mutex.RUnlock()
	if w.closed {
		w.lost(1)
		return
	}
	select {
	case w.queue <- record:
	default:
		w.lost(1)
	}
}

// Close writes what is queued and returns when that is done. Later calls wait
// for the first.
func (w *Writer) Close() {
	w.once.Do(func() {
		w.mutex.Lock()
		w.closed = true
		close(w.queue)
		w.mutex.Unlock()
	})
	<-w.done
}

// run hands lines to the sink whenever the queue is empty, so that a line is in
// the file at once, and in large pieces when the server is busy.
func (w *Writer) run(sink io.Writer) {
	defer close(w.done)
	var lines []byte
	var count int
	for record := range w.queue {
		longer, err := record.AppendLine(lines)
		if err != nil {
			w.lost(1)
		} else {
			lines, count = longer, count+1
		}
		if len(w.queue) == 0 || len(lines) >= pieceLength {
			w.write(sink, lines, count)
			lines, count = lines[:0], 0
		}
	}
}

// write hands count lines to the sink. Where it takes only a part, the line that
// was torn is ended before the next, so that every later line can be read.
func (w *Writer) write(sink io.Writer, lines []byte, count int) {
	if count == 0 {
		return
	}
	if w.torn {
		if _, err := sink.Write([]byte{'\n'}); err != nil {
			w.lost(count)
			return
		}
		w.torn = false
	}
	taken, err := sink.Write(lines)
	if err != nil {
		w.lost(count - bytes.Count(lines[:taken], []byte{'\n'}))
		w.torn = taken > 0 && lines[taken-1] != '\n'
	}
}
