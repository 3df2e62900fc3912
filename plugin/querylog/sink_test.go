package querylog

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

var errDiskFull = errors.New("no space left on device")

// fullSink takes only the given number of bytes of each write while it is full.
type fullSink struct {
	heldSink
	full  bool
	takes int
}

func (s *fullSink) Write(data []byte) (int, error) {
	<-s.letGo
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.full {
		return s.taken.Write(data)
	}
	count, _ := s.taken.Write(data[:min(s.takes, len(data))])
	return count, errDiskFull
}

func TestFailingSinkCountsAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost losses
		sink := &fullSink{heldSink: heldSink{letGo: make(chan struct{})}, full: true}
		w := NewWriter(sink, lost.add)
		logNumbered(w, 100, 1)
		synctest.Wait()
		logNumbered(w, 101, 9)
		close(sink.letGo)
		synctest.Wait()
		if lost.Load() != 10 {
			t.Errorf("lost = %d of 10 records that the sink refused, want 10", lost.Load())
		}
		sink.full = false
		logNumbered(w, 0, 2)
		w.Close()
		expectNumbered(t, sink.names(t), 2)
		if lost.Load() != 10 {
			t.Errorf("lost = %d after the sink recovered, want 10", lost.Load())
		}
	})
}

// A disk that fills in the middle of a piece takes some lines whole and one in
// part. What was taken whole is not lost, and the part must not swallow the
// first line that is written when there is space again.
func TestSinkThatTakesAPart(t *testing.T) {
	line, err := plainRecord("0").AppendLine(nil)
	if err != nil {
		t.Fatalf("AppendLine() error = %v, want nil", err)
	}
	tests := []struct {
		name  string
		takes int
		lost  int64
		whole []string
	}{
		{name: "nothing", takes: 0, lost: 3, whole: []string{"9", "5", "6"}},
		{name: "half a line", takes: len(line) / 2, lost: 3, whole: []string{"9", "5", "6"}},
		{name: "one line", takes: len(line), lost: 2, whole: []string{"9", "0", "5", "6"}},
		{name: "a line and a half", takes: len(line) * 3 / 2, lost: 2, whole: []string{"9", "0", "5", "6"}},
		{name: "all but the last line feed", takes: 3*len(line) - 1, lost: 1, whole: []string{"9", "0", "1", "5", "6"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lost losses
				sink := &fullSink{heldSink: heldSink{letGo: make(chan struct{})}, takes: tc.takes}
				w := NewWriter(sink, lost.add)
				logNumbered(w, 9, 1) // keeps the goroutine in the sink, so that the next three make one piece
				synctest.Wait()
				logNumbered(w, 0, 3)
				sink.letGo <- struct{}{}
				synctest.Wait()
				sink.full = true
				sink.letGo <- struct{}{}
				synctest.Wait()
				sink.full = false
				close(sink.letGo)
				logNumbered(w, 5, 1)
				synctest.Wait()
				logNumbered(w, 6, 1)
				w.Close()
				got := wholeNames(sink.taken.Bytes())
				if bytes.Contains(sink.taken.Bytes(), []byte("\n\n")) {
					t.Errorf("the sink has an empty line, want none:\n%s", sink.taken.Bytes())
				}
				for _, name := range tc.whole {
					if !slices.Contains(got, name) {
						t.Errorf("record %q is on no line of its own and was not counted as lost", name)
					}
				}
				if lost.Load() != tc.lost {
					t.Errorf("lost = %d, want %d", lost.Load(), tc.lost)
				}
			})
		})
	}
}

// While the disk stays full, a torn line waits for its end; then it gets it
// once.
func TestTornLineWhileTheSinkStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost losses
		sink := &fullSink{heldSink: heldSink{letGo: make(chan struct{})}, full: true, takes: 10}
		close(sink.letGo)
		w := NewWriter(sink, lost.add)
		logNumbered(w, 100, 1)
		synctest.Wait()
		sink.takes = 0
		logNumbered(w, 101, 1)
		synctest.Wait()
		logNumbered(w, 102, 1)
		synctest.Wait()
		sink.full = false
		for number := range 3 {
			logNumbered(w, number, 1)
			synctest.Wait()
		}
		w.Close()
		if got := wholeNames(sink.taken.Bytes()); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("whole lines of %q, want of 0, 1 and 2", got)
		}
		if count := bytes.Count(sink.taken.Bytes(), []byte{'\n'}); count != 4 {
			t.Errorf("the sink has %d lines, want 4, one of them torn", count)
		}
		if lost.Load() != 3 {
			t.Errorf("lost = %d, want 3", lost.Load())
		}
	})
}

// wholeNames returns the names of the records that are on a line of their own.
func wholeNames(data []byte) []string {
	var names []string
	for line := range bytes.Lines(data) {
		var record Record
		if json.Unmarshal(line, &record) == nil && bytes.HasSuffix(line, []byte("\n")) {
			names = append(names, record.Name)
		}
	}
	return names
}
