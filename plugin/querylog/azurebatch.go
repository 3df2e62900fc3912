package querylog

import (
	"bytes"
	"compress/gzip"
	"time"
)

const (
	// maxCall is what a call may hold at most: the API's 1 MB is counted before
	// compression as well as after. A little is left for what incompressible
	// text grows by.
	maxCall = 990_000
	// batchAge is how long the first line of a batch waits for others.
	batchAge = 5 * time.Second
)

// shipment is the body of one call: a compressed JSON array of records.
type shipment struct {
	body    []byte
	records int
	// file is the shipment's place in the spool; nil where it has none.
	file *spooled
}

// batcher makes shipments of lines. It is used by one goroutine.
type batcher struct {
	body    *bytes.Buffer
	gzip    *gzip.Writer
	length  int
	records int
	begun   time.Time
}

func newBatcher() *batcher {
	b := &batcher{body: new(bytes.Buffer)}
	// The level is in range, so there is no error.
	b.gzip, _ = gzip.NewWriterLevel(b.body, gzip.BestSpeed)
	return b
}

// add takes as many whole lines as there is room for, and returns the rest. It
// makes the line feeds commas, which in an array stand where they stood; the
// last one waits for the next line, or is the bracket at the end.
func (b *batcher) add(lines []byte, now time.Time) (rest []byte) {
	taken, opening := lines, []byte{','}
	if b.records == 0 {
		b.begun, b.length, opening = now, 1, []byte{'['}
	}
	if room := maxCall - b.length; len(taken) > room {
		taken = lines[:bytes.LastIndexByte(lines[:room], '\n')+1]
	}
	if len(taken) == 0 {
		return lines
	}
	for at := range taken {
		if taken[at] == '\n' {
			taken[at] = ','
			b.records++
		}
	}
	b.length += len(taken)
	b.put(opening)
	b.put(taken[:len(taken)-1])
	return lines[len(taken):]
}

// put compresses. Writing to memory cannot fail.
func (b *batcher) put(data []byte) { _, _ = b.gzip.Write(data) }

func (b *batcher) isDue(now time.Time) bool {
	return b.records > 0 && now.Sub(b.begun) >= batchAge
}

// seal ends the batch, which is not empty, and begins the next.
func (b *batcher) seal() shipment {
	b.put([]byte{']'})
	_ = b.gzip.Close()
	s := shipment{body: bytes.Clone(b.body.Bytes()), records: b.records}
	b.body.Reset()
	b.gzip.Reset(b.body)
	b.records = 0
	return s
}
