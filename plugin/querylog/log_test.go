package querylog

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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

// adder is what takes records: a Log's appender, or its shared way.
type adder func(*Record)

func (add adder) numbered(first, count int) {
	for number := range count {
		add(plainRecord(strconv.Itoa(first + number)))
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

// newLog makes a log with one stream for each writer, named 0, 1, ….
func newLog(t testing.TB, writers ...io.Writer) *Log {
	t.Helper()
	destinations := make([]Destination, len(writers))
	for index, writer := range writers {
		destinations[index] = Destination{Name: strconv.Itoa(index), Sink: NewStream(writer), QueueBytes: minQueueBytes}
	}
	log, err := New(destinations...)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func mustClose(t testing.TB, log *Log) {
	t.Helper()
	if err := log.Close(context.Background()); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
}

// A line must not wait for others: within a second it is in the sink.
func TestLinesReachTheSinkWithoutTraffic(t *testing.T) {
	for _, way := range []string{"appender", "shared", "flushed appender"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := newOpenSink()
				log := newLog(t, sink)
				defer mustClose(t, log)
				appender, wait := log.Appender(), 2*sweepInterval
				add := adder(appender.Add)
				if way == "shared" {
					add = log.Log
				}
				for number := range 3 {
					add.numbered(number, 1)
					if way == "flushed appender" {
						appender.Flush()
						wait = 0
					}
					time.Sleep(wait)
					synctest.Wait()
					expectNumbered(t, sink.names(t), number+1)
				}
			})
		})
	}
}

// A busy server's lines reach the sink in pieces, each of them bounded and
// made of whole lines, in the order in which they were added.
func TestLinesAreHandedOverInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newOpenSink()
		log := newLog(t, sink)
		add := adder(log.Appender().Add)
		for number := range 2000 {
			add.numbered(number, 1)
			if number%100 == 0 {
				synctest.Wait()
			}
		}
		mustClose(t, log)
		expectNumbered(t, sink.names(t), 2000)
		if pieces := sink.taken.Len()/blockFull + 1; len(sink.calls) > pieces {
			t.Errorf("the sink was called %d times for %d bytes, want at most %d", len(sink.calls), sink.taken.Len(), pieces)
		}
		for _, length := range sink.calls {
			if length > blockLength {
				t.Errorf("the sink was handed %d bytes at once, want at most %d", length, blockLength)
			}
		}
	})
}

// One sink hangs: its queue fills, its drops are counted, and neither the
// caller nor the other sink notices.
func TestHungSinkHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 5000
		hung, well := newHeldSink(), newOpenSink()
		log := newLog(t, hung, well)
		add := adder(log.Appender().Add)
		for number := range count {
			add.numbered(number, 1)
			if number%100 == 0 {
				synctest.Wait()
			}
		}
		dropped := log.Statistics()[0].QueueFull
		if room := minQueueBytes / len(AppendJSON(nil, plainRecord("4999"))); dropped < uint64(count-room-1) {
			t.Errorf("%d of %d records were dropped, want all but those that %d bytes hold", dropped, count, minQueueBytes)
		}
		close(hung.letGo)
		mustClose(t, log)
		expectNumbered(t, well.names(t), count)
		expectNumbered(t, hung.names(t), count-int(dropped))
		checkTotals(t, log, count)
	})
}

// checkTotals fails unless every record is in one count of each sink.
func checkTotals(t testing.TB, log *Log, logged int) {
	t.Helper()
	for _, s := range log.Statistics() {
		if total := s.Written + s.Filtered + s.Dropped(); total != uint64(logged) {
			t.Errorf("sink %s: written %d + filtered %d + dropped %d = %d, want %d", s.Name, s.Written, s.Filtered, s.Dropped(), total, logged)
		}
	}
}

// A sink that hangs for good does not hang the shutdown.
func TestCloseGivesUpOnAHungSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, well := newHeldSink(), newOpenSink()
		log := newLog(t, hung, well)
		adder(log.Log).numbered(0, 500)
		begin := time.Now()
		err := log.Close(context.Background())
		if waited := time.Since(begin); waited != closeTimeout {
			t.Errorf("Close() took %v, want %v", waited, closeTimeout)
		}
		if err == nil || !strings.Contains(err.Error(), "sink 0: ") || strings.Contains(err.Error(), "sink 1") {
			t.Errorf("Close() = %v, want sink 0 named and not sink 1", err)
		}
		expectNumbered(t, well.names(t), 500)
		if late := log.Statistics()[0].Late; late != 500 {
			t.Errorf("%d records are counted late, want 500", late)
		}
		checkTotals(t, log, 500)
		close(hung.letGo)
		synctest.Wait()
		if written := log.Statistics()[0].Written; written != 0 {
			t.Errorf("%d records are counted twice", written)
		}
	})
}

func TestCloseWritesWhatWasAcceptedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newHeldSink()
		log := newLog(t, sink)
		adder(log.Log).numbered(0, 500)
		closed := false
		go func() { mustClose(t, log); closed = true }()
		synctest.Wait()
		if closed {
			t.Fatal("Close() returned before the sink took what was accepted")
		}
		close(sink.letGo)
		mustClose(t, log)
		adder(log.Log).numbered(500, 2)
		adder(log.Appender().Add).numbered(502, 1)
		expectNumbered(t, sink.names(t), 500)
		if late := log.Statistics()[0].Late; late != 3 {
			t.Errorf("%d records are counted late, want the 3 after Close", late)
		}
	})
}

// Loops come and go with reloads; what they counted stays.
func TestClosedAppenderKeepsItsFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newOpenSink()
		log, err := New(Destination{Name: "slow", Sink: NewStream(sink), Filter: Filter{SlowerThan: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, log)
		appender := log.Appender()
		adder(appender.Add).numbered(0, 7)
		appender.Close()
		adder(appender.Add).numbered(0, 2)
		if s := log.Statistics()[0]; s.Filtered != 7 || s.Late != 2 {
			t.Errorf("Statistics() = %+v, want 7 filtered and 2 late", s)
		}
		if count := len(log.appenders); count != len(log.shared) {
			t.Errorf("the log keeps %d appenders, want the %d shared", count, len(log.shared))
		}
	})
}

// Every record is either written, once and in its logger's order, or counted.
func TestConcurrentAddAndClose(t *testing.T) {
	const loggers, each = 8, 1500
	sink := newOpenSink()
	log := newLog(t, sink)
	var halfway, done sync.WaitGroup
	for logger := range loggers {
		halfway.Add(1)
		done.Go(func() {
			appender := log.Appender()
			for number := range each {
				if number == each/2 {
					halfway.Done()
				}
				record := plainRecord(strconv.Itoa(logger) + "." + strconv.Itoa(number))
				if logger%2 == 0 {
					appender.Add(record)
				} else {
					log.Log(record)
				}
			}
			if logger == 0 {
				appender.Close()
			}
		})
	}
	halfway.Wait()
	for range 2 {
		done.Go(func() { mustClose(t, log) })
	}
	done.Wait()
	last := make([]int, loggers)
	for _, name := range sink.names(t) {
		first, second, _ := strings.Cut(name, ".")
		logger, _ := strconv.Atoi(first)
		number, _ := strconv.Atoi(second)
		if logger%2 == 0 && number+1 <= last[logger] {
			t.Fatalf("record %q came after record %d of the same loop", name, last[logger]-1)
		}
		last[logger] = number + 1
	}
	checkTotals(t, log, loggers*each)
}

func TestAddDoesNotAllocate(t *testing.T) {
	log := newLog(t, io.Discard, io.Discard)
	defer mustClose(t, log)
	appender, record := log.Appender(), hitRecord()
	for range 1000 { // all blocks are made
		appender.Add(record)
	}
	if allocations := testing.AllocsPerRun(1000, func() { appender.Add(record); log.Log(record) }); allocations != 0 {
		t.Errorf("Add() and Log() allocate %v times, want 0", allocations)
	}
}

func TestNewRefuses(t *testing.T) {
	sink := NewStream(io.Discard)
	tests := []struct {
		name         string
		destinations []Destination
		want         string
	}{
		{"no name", []Destination{{Sink: sink}}, `sink name ""`},
		{"a name twice", []Destination{{Name: "a", Sink: sink}, {Name: "a", Sink: sink}}, `sink name "a"`},
		{"no sink", []Destination{{Name: "a"}}, "sink a: found no sink"},
		{"a negative sample", []Destination{{Name: "a", Sink: sink, Filter: Filter{SampleOneIn: -1}}}, "one in -1"},
		{"a key that can be guessed", []Destination{{Name: "a", Sink: sink, Client: ClientHashed, PrivacyKey: []byte("secret")}}, "key of 6 bytes"},
		{"an unknown privacy", []Destination{{Name: "a", Sink: sink, Client: 9}}, "client privacy 9"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if log, err := New(tc.destinations...); log != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New() = %v, %v, want an error with %q", log, err, tc.want)
			}
		})
	}
}

// eventually waits for what another goroutine does; files and sockets have no fake.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	ticker, end := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer ticker.Stop()
	for !reached() {
		select {
		case <-ticker.C:
		case <-end:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// fixedRandom draws the same numbers in every run.
func fixedRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
