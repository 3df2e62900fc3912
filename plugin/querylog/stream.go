package querylog

import (
	"bytes"
	"context"
	"io"
	"time"
)

// stream writes lines of JSON to a writer that it does not own.
type stream struct{ lines lineWriter }

// NewStream returns a sink that writes lines of JSON to w, in large pieces while
// the server is busy. W is not closed. A writer that fails is tried again with
// the next lines; one that hangs costs lines, but never an answer.
func NewStream(w io.Writer) Sink { return &stream{lines: lineWriter{to: w}} }

func (s *stream) newEncoder() encoder                { return appendJSON }
func (s *stream) takesMessages() bool                { return false }
func (s *stream) write(b *block) (int, error)        { return s.lines.write(b) }
func (s *stream) tick(time.Time) (int, error)        { return 0, errNoNews }
func (s *stream) close(context.Context) (int, error) { return 0, nil }

// lineWriter writes blocks of lines. Where the writer takes only a part, the
// line that was torn is ended before the next, so that every later line can be read.
type lineWriter struct {
	to   io.Writer
	torn bool
}

func (w *lineWriter) write(b *block) (lost int, err error) {
	if w.torn {
		if _, err := w.to.Write([]byte{'\n'}); err != nil {
			return b.records, err
		}
		w.torn = false
	}
	taken, err := w.to.Write(b.data)
	if err == nil {
		return 0, nil
	}
	taken = min(max(taken, 0), len(b.data))
	if taken > 0 {
		w.torn = b.data[taken-1] != '\n'
	}
	return b.records - bytes.Count(b.data[:taken], []byte{'\n'}), err
}
