package querylog

import (
	"io"
	"runtime"
	"testing"
)

func BenchmarkAppendJSON(b *testing.B) {
	for _, bench := range []struct {
		name   string
		record *Record
	}{
		{name: "plain", record: plainRecord("www.example.org.")},
		{name: "hit", record: hitRecord()},
		{name: "every field", record: fullRecord()},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			var line []byte
			for b.Loop() {
				line = AppendJSON(line[:0], bench.record)
			}
			b.SetBytes(int64(len(line)))
		})
	}
}

// BenchmarkAdd is the price to the one who answers, where the sink keeps up: a
// loop waits where the queue is half full, so that nothing is dropped.
func BenchmarkAdd(b *testing.B) {
	log, err := New(Destination{Name: "discard", Sink: NewStream(io.Discard)})
	if err != nil {
		b.Fatal(err)
	}
	appender, record := log.Appender(), hitRecord()
	queue := log.outlets[0].queue
	b.ReportAllocs()
	for b.Loop() {
		for len(queue.full) > cap(queue.full)/2 {
			runtime.Gosched()
		}
		appender.Add(record)
	}
	b.StopTimer()
	if err := log.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if dropped := log.Statistics()[0].Dropped(); dropped != 0 {
		b.Errorf("%d records were dropped, want 0", dropped)
	}
}

func BenchmarkDnstap(b *testing.B) {
	sink, err := NewDnstap(DnstapOptions{Network: "unix", Address: "tap.sock", Messages: true, Identity: "hub-a"})
	if err != nil {
		b.Fatal(err)
	}
	record := exchangedRecord(b)
	record.Exchanges = nil
	encode, frames, v := sink.newEncoder(), []byte(nil), view{privacy: &privacy{}, clock: &clock{}}
	b.ReportAllocs()
	for b.Loop() {
		frames = encode(frames[:0], record, v)
	}
	b.SetBytes(int64(len(frames)))
}
