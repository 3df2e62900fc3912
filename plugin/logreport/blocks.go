package logreport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// blockSize is what a worker gets at once. A line is at most as long: the
	// log's own are bounded at about 100 KiB.
	blockSize = 1 << 20
	// maxWindow bounds the memory that a zstd file can ask for; what the log and
	// zstd write by default needs 8 MiB.
	maxWindow = 64 << 20
)

// block is a run of whole lines of one source.
type block struct {
	data []byte
	// name and order tell the source, line the number of the first line.
	name  string
	order int
	line  uint64
	room  []byte
}

// blockReader cuts sources into blocks, of which there is a fixed number.
type blockReader struct {
	free, full chan *block
	summaries  []SourceSummary
	mistakes   mistakes
}

func newBlockReader(workers int) *blockReader {
	count := 2*workers + 2
	b := &blockReader{free: make(chan *block, count), full: make(chan *block, count)}
	for range count {
		b.free <- &block{room: make([]byte, blockSize)}
	}
	return b
}

// readAll reads the sources one after the other, and ends the workers.
func (b *blockReader) readAll(ctx context.Context, sources []Source) (errs []error) {
	defer close(b.full)
	for order, source := range sources {
		cut := &cutter{blocks: b, name: source.Name, order: order}
		err := cut.readSource(ctx, source)
		summary := SourceSummary{Name: source.Name, Lines: cut.lines}
		if err != nil {
			err = fmt.Errorf("%s: %w", source.Name, err)
			summary.Error = err.Error()
			errs = append(errs, err)
		}
		b.summaries = append(b.summaries, summary)
		if ctx.Err() != nil {
			return append(errs, ctx.Err())
		}
	}
	return errs
}

// work gives every line of the blocks to add until there are no more, and keeps what
// add finds wrong with them.
func (b *blockReader) work(found *mistakes, add func(line []byte) error) {
	for full := range b.full {
		full.eachLine(found, add)
		b.free <- full
	}
}

// eachLine gives the lines of a block to add, without their ends.
func (b *block) eachLine(found *mistakes, add func(line []byte) error) {
	number := b.line
	for data := b.data; len(data) > 0; number++ {
		line := data
		if end := bytes.IndexByte(data, '\n'); end >= 0 {
			line, data = data[:end], data[end+1:]
		} else {
			data = nil
		}
		if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) == 0 {
			continue
		}
		if err := add(line); err != nil {
			found.add(Mistake{Source: b.name, Line: number, Reason: printable(err.Error()), order: b.order})
		}
	}
}

// cutter cuts one source.
type cutter struct {
	blocks *blockReader
	name   string
	order  int
	lines  uint64
	// rest is the start of a line whose end has not been read.
	rest []byte
	// overlong: a line that is longer than a block is being passed over.
	overlong bool
}

func (c *cutter) readSource(ctx context.Context, source Source) (err error) {
	opened, err := source.Open()
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	content, end, err := unpacked(opened)
	if err != nil {
		return err
	}
	defer end()
	for err == nil && ctx.Err() == nil {
		err = c.readBlock(content)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		err = fmt.Errorf("reading after line %d: %w; the report is on what comes before", c.lines, err)
	}
	return err
}

// readBlock reads one block and gives its whole lines away.
func (c *cutter) readBlock(content io.Reader) error {
	b := <-c.blocks.free
	kept := copy(b.room, c.rest)
	read, err := io.ReadFull(content, b.room[kept:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = unexpected(content)
	}
	data := b.room[:kept+read]
	end := len(data)
	if err == nil {
		end = bytes.LastIndexByte(data, '\n') + 1
	}
	c.rest = append(c.rest[:0], data[end:]...)
	if c.overlong || len(c.rest) == len(b.room) {
		data = c.passOver(data[:end])
	} else {
		data = data[:end]
	}
	b.data, b.name, b.order, b.line = data, c.name, c.order, c.lines+1
	c.lines += uint64(bytes.Count(data, []byte{'\n'}))
	if len(data) > 0 && data[len(data)-1] != '\n' {
		c.lines++
	}
	c.blocks.full <- b
	return err
}

// unexpected tells the end of the content from the end of a packed stream that
// was cut off: both are io.ErrUnexpectedEOF to io.ReadFull.
func unexpected(content io.Reader) error {
	if _, err := content.Read(make([]byte, 1)); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// passOver leaves out a line that is longer than a block. It returns what
// follows its end.
func (c *cutter) passOver(data []byte) []byte {
	if !c.overlong {
		c.lines++
		c.blocks.mistakes.add(Mistake{Source: c.name, Line: c.lines, order: c.order, Reason: fmt.Sprintf("found a line of more than %d bytes", blockSize)})
	}
	end := bytes.IndexByte(data, '\n')
	c.overlong = end < 0
	if c.overlong {
		c.rest = c.rest[:0]
		return nil
	}
	return data[end+1:]
}

// unpacked returns the content of a log that may be packed.
func unpacked(packed io.Reader) (content io.Reader, end func(), err error) {
	ahead := bufio.NewReaderSize(packed, 1<<16)
	magic, err := ahead.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("reading: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952
		unzipped, err := gzip.NewReader(ahead)
		if err != nil {
			return nil, nil, fmt.Errorf("unpacking gzip: %w", err)
		}
		return unzipped, func() {}, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		decoder, err := zstd.NewReader(ahead, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("unpacking zstd: %w", err)
		}
		return decoder, decoder.Close, nil
	}
	return ahead, func() {}, nil
}
