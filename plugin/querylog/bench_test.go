package querylog

import (
	"io"
	"runtime"
	"testing"
)

func BenchmarkAppendLine(b *testing.B) {
	for _, bench := range []struct {
		name   string
		record *Record
	}{
		{name: "plain", record: plainRecord("www.example.org.")},
		{name: "every field", record: fullRecord()},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			var line []byte
			for b.Loop() {
				line, _ = bench.record.AppendLine(line[:0])
			}
			b.SetBytes(int64(len(line)))
		})
	}
}

// BenchmarkLog is the price to the one who answers: "queued" where the writer
// keeps up, "lost" where the queue stays full. "written" is the whole way of a
// record to the sink, with the logger slowed down to what the writer can do.
func BenchmarkLog(b *testing.B) {
	record := fullRecord()
	b.Run("queued", func(b *testing.B) {
		b.ReportAllocs()
		w := &Writer{queue: make(chan *Record, queueLength), lost: func(int) { b.Error("lost was called, want no call") }}
		for b.Loop() {
			w.Log(record)
			if len(w.queue) == queueLength {
				b.StopTimer()
				for range queueLength {
					<-w.queue
				}
				b.StartTimer()
			}
		}
	})
	b.Run("lost", func(b *testing.B) {
		b.ReportAllocs()
		w := &Writer{queue: make(chan *Record), lost: func(int) {}}
		for b.Loop() {
			w.Log(record)
		}
	})
	b.Run("written", func(b *testing.B) {
		b.ReportAllocs()
		w := NewWriter(io.Discard, func(int) { b.Error("lost was called, want no call") })
		for b.Loop() {
			for len(w.queue) > queueLength/2 {
				runtime.Gosched()
			}
			w.Log(record)
		}
		w.Close()
	})
}
