package querylog

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// losses counts lost records.
type losses struct{ atomic.Int64 }

func (l *losses) add(records int) { l.Add(int64(records)) }

// heldSink takes writes only once it was let go, and keeps what it took.
type heldSink struct {
	letGo chan struct{}
	mutex sync.Mutex
	taken bytes.Buffer
	calls []int
}

func newHeldSink() *heldSink { return &heldSink{letGo: make(chan struct{})} }

func newOpenSink() *heldSink {
	sink := newHeldSink()
	close(sink.letGo)
	return sink
}

func (s *heldSink) Write(data []byte) (int, error) {
	<-s.letGo
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.calls = append(s.calls, len(data))
	return s.taken.Write(data)
}

// names returns the names of the records taken so far, in order.
func (s *heldSink) names(t testing.TB) []string {
	t.Helper()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var names []string
	for line := range bytes.Lines(s.taken.Bytes()) {
		names = append(names, decodeLine(t, line).Name)
	}
	return names
}

func logNumbered(w *Writer, first, count int) {
	for number := range count {
		w.Log(plainRecord(strconv.Itoa(first + number)))
	}
}

func expectNumbered(t testing.TB, names []string, count int) {
	t.Helper()
	if len(names) != count {
		t.Fatalf("the sink has %d records, want %d", len(names), count)
	}
	for index, name := range names {
		if name != strconv.Itoa(index) {
			t.Fatalf("record %d of the sink is %q, want %q", index, name, strconv.Itoa(index))
		}
	}
}

func TestLogWritesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost losses
		sink := newOpenSink()
		w := NewWriter(sink, lost.add)
		for number := range 3 {
			logNumbered(w, number, 1)
			synctest.Wait()
			expectNumbered(t, sink.names(t), number+1)
		}
		w.Close()
		if lost.Load() != 0 {
			t.Errorf("lost = %d, want 0", lost.Load())
		}
	})
}

func TestCloseWritesWhatIsQueuedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost losses
		sink := newHeldSink()
		w := NewWriter(sink, lost.add)
		logNumbered(w, 0, 2000)
		closed := false
		go func() { w.Close(); closed = true }()
		synctest.Wait()
		if closed {
			t.Fatal("Close() returned before the sink took what was queued")
		}
		close(sink.letGo)
		w.Close()
		synctest.Wait()
		if !closed {
			t.Error("the first Close() did not return")
		}
		expectNumbered(t, sink.names(t), 2000)
		if lost.Load() != 0 {
			t.Errorf("lost = %d, want 0", lost.Load())
		}
	})
}

// A busy server's lines reach the sink in pieces, each of them bounded and
// made of whole lines.
func TestLinesAreHandedOverInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newHeldSink()
		w := NewWriter(sink, func(int) {})
		logNumbered(w, 0, 1)
		synctest.Wait()
		logNumbered(w, 1, 2000)
		close(sink.letGo)
		w.Close()
		expectNumbered(t, sink.names(t), 2001)
		line, err := plainRecord("4000").AppendLine(nil)
		if err != nil {
			t.Fatalf("AppendLine() error = %v, want nil", err)
		}
		pieces := (2001*len(line)+pieceLength-1)/pieceLength + 1
		if len(sink.calls) > pieces {
			t.Errorf("the sink was called %d times for %d bytes, want at most %d", len(sink.calls), sink.taken.Len(), pieces)
		}
		for _, length := range sink.calls {
			if length >= pieceLength+len(line) {
				t.Errorf("the sink was handed %d bytes at once, want less than %d and one line", length, pieceLength)
			}
		}
	})
}

func TestLogNeverWaitsForTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost losses
		sink := newHeldSink()
		w := NewWriter(sink, lost.add)
		logNumbered(w, 0, 1)
		synctest.Wait() // the goroutine holds record 0 and is stuck in the sink
		logNumbered(w, 1, queueLength)
		if lost.Load() != 0 {
			t.Fatalf("lost = %d with the queue just full, want 0", lost.Load())
		}
		logNumbered(w, 1+queueLength, 100)
		if lost.Load() != 100 {
			t.Errorf("lost = %d, want 100", lost.Load())
		}
		close(sink.letGo)
		w.Close()
		expectNumbered(t, sink.names(t), 1+queueLength)
		if lost.Load() != 100 {
			t.Errorf("lost = %d after Close, want 100", lost.Load())
		}
	})
}

func TestLogAfterCloseIsLost(t *testing.T) {
	var lost losses
	sink := newOpenSink()
	w := NewWriter(sink, lost.add)
	logNumbered(w, 0, 2)
	w.Close()
	logNumbered(w, 2, 3)
	w.Close()
	expectNumbered(t, sink.names(t), 2)
	if lost.Load() != 3 {
		t.Errorf("lost = %d, want 3", lost.Load())
	}
}

func TestCloseWithoutRecordsCallsNoSink(t *testing.T) {
	sink := newOpenSink()
	NewWriter(sink, func(int) { t.Error("lost was called, want no call") }).Close()
	if len(sink.calls) != 0 {
		t.Errorf("the sink was called %d times, want 0", len(sink.calls))
	}
}

// A record that cannot be written as JSON is counted and holds nothing up.
func TestUnwritableRecord(t *testing.T) {
	tests := []struct {
		name string
		// before and after are the writable records that are queued around the
		// unwritable one while the sink is stuck.
		before, after int
	}{
		{name: "alone", before: 0, after: 0},
		{name: "first", before: 0, after: 2},
		{name: "between", before: 2, after: 2},
		{name: "last", before: 2, after: 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lost losses
				sink := newHeldSink()
				w := NewWriter(sink, lost.add)
				logNumbered(w, 0, 1)
				synctest.Wait()
				logNumbered(w, 1, tc.before)
				unwritable := plainRecord("unwritable")
				unwritable.Seconds = math.NaN()
				w.Log(unwritable)
				logNumbered(w, 1+tc.before, tc.after)
				close(sink.letGo)
				synctest.Wait()
				if got, want := len(sink.names(t)), 1+tc.before+tc.after; got != want {
					t.Errorf("the sink has %d records with the queue empty, want %d", got, want)
				}
				w.Close()
				expectNumbered(t, sink.names(t), 1+tc.before+tc.after)
				if lost.Load() != 1 {
					t.Errorf("lost = %d, want 1", lost.Load())
				}
			})
		})
	}
}

// Every record is either written, once and in its logger's order, or counted.
func TestConcurrentLogAndClose(t *testing.T) {
	const loggers, each = 8, 1500
	var lost losses
	sink := newOpenSink()
	w := NewWriter(sink, lost.add)
	var halfway, done sync.WaitGroup
	for logger := range loggers {
		halfway.Add(1)
		done.Go(func() {
			for number := range each {
				if number == each/2 {
					halfway.Done()
				}
				w.Log(plainRecord(strconv.Itoa(logger) + "." + strconv.Itoa(number)))
			}
		})
	}
	halfway.Wait()
	for range 2 {
		done.Go(w.Close)
	}
	done.Wait()
	last := make([]int, loggers)
	names := sink.names(t)
	for _, name := range names {
		first, second, _ := strings.Cut(name, ".")
		logger, _ := strconv.Atoi(first)
		number, _ := strconv.Atoi(second)
		if number+1 <= last[logger] {
			t.Fatalf("record %q came after record %d of the same logger", name, last[logger]-1)
		}
		last[logger] = number + 1
	}
	if total := int64(len(names)) + lost.Load(); total != loggers*each {
		t.Errorf("written %d + lost %d = %d, want %d", len(names), lost.Load(), total, loggers*each)
	}
}
