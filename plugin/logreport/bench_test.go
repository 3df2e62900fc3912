package logreport

import (
	"bytes"
	"testing"
)

// BenchmarkAddLines is what one worker does: MB/s on one core.
func BenchmarkAddLines(b *testing.B) {
	content := hubLog(20_000)
	tallied := newTally(newSelection(Options{}))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		(&block{data: content, line: 1}).eachLine(&tallied.mistakes, tallied.addLine)
	}
}

// BenchmarkScan is the scanner alone.
func BenchmarkScan(b *testing.B) {
	content := bytes.Split(bytes.TrimSpace(hubLog(5_000)), []byte("\n"))
	size := 0
	for _, line := range content {
		size += len(line) + 1
	}
	scanner := newScanner()
	b.SetBytes(int64(size))
	var r record
	for b.Loop() {
		for _, line := range content {
			scanner.scan(line, &r)
		}
	}
}

// BenchmarkRead is the whole: reader and workers.
func BenchmarkRead(b *testing.B) {
	content := bytes.Repeat(hubLog(20_000), 10)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		read(b, Options{}, logOf("query.log", content))
	}
}
