//go:build linux

package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace with a thread that lives in it. It has no
// name, so that nothing can be left over: the kernel removes it with the last
// thread, process and handle in it. Processes and sockets made on its thread
// belong to it. It is safe for concurrent use until it is closed.
type namespace struct {
	handle *os.File
	tasks  chan func()
}

func newNamespace() (*namespace, error) {
	n := &namespace{tasks: make(chan func())}
	started := make(chan error)
	go n.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	return n, nil
}

// live never unlocks its thread: it is of no use to others, and ends with the
// goroutine. One thread for as long as the namespace lasts also keeps the
// processes started from it, which are killed when that thread ends.
func (n *namespace) live(started chan<- error) {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		n.handle, err = os.Open("/proc/thread-self/ns/net")
	}
	started <- err
	if err != nil {
		return
	}
	for task := range n.tasks {
		task()
	}
}

// do runs a task in the namespace and waits for it.
func (n *namespace) do(task func()) {
	done := make(chan struct{})
	n.tasks <- func() {
		defer close(done)
		task()
	}
	<-done
}

func (n *namespace) close() {
	close(n.tasks)
	_ = n.handle.Close()
}
