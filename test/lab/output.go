//go:build linux

package lab

import (
	"sync"
)

// output keeps what a process writes, and tells of more to come. It is safe
// for concurrent use.
type output struct {
	mutex sync.Mutex
	text  []byte
	more  chan struct{} // closed when something is written
}

func newOutput() *output { return &output{more: make(chan struct{})} }

// Write implements io.Writer.
func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.text = append(o.text, text...)
	close(o.more)
	o.more = make(chan struct{})
	return len(text), nil
}

// from returns what was written after the first offset bytes, and a channel
// that is closed as soon as there is more.
func (o *output) from(offset int) (string, <-chan struct{}) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return string(o.text[offset:]), o.more
}

func (o *output) length() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.text)
}
