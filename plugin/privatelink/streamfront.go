package privatelink

import (
	"net"
	"net/netip"

	"github.com/privatelink-dns/privatelink-dns/plugin/stream"
)

// streamOptions are the times that CoreDNS's server would keep to (plugin timeouts).
func (s *serving) streamOptions() stream.Options {
	return stream.Options{
		Idle: s.server.IdleTimeout, First: s.server.ReadTimeout, Message: s.server.ReadTimeout, Write: s.server.WriteTimeout,
	}
}

// streamLoop is a stream.Worker: it serves one connection after the other.
type streamLoop struct {
	readLoop
	from streamAsker
}

func newStreamLoop(f *front) *streamLoop { return &streamLoop{readLoop: readLoop{front: f}} }

// Answer implements stream.Worker.
func (l *streamLoop) Answer(message []byte, from *stream.Connection, buffer []byte) []byte {
	l.from.connection = from
	l.next()
	return l.answerMessage(message, &l.from, buffer)
}

// streamAsker is who made a connection.
type streamAsker struct{ connection *stream.Connection }

func (a *streamAsker) client() netip.AddrPort { return a.connection.Remote() }
func (a *streamAsker) server() netip.AddrPort { return a.connection.Local() }
func (a *streamAsker) transport() string      { return "tcp" }

func (a *streamAsker) netAddr(address netip.AddrPort) net.Addr {
	return net.TCPAddrFromAddrPort(address)
}

func (a *streamAsker) kept() asker {
	a.connection.Hold()
	return &streamAsker{connection: a.connection}
}

func (a *streamAsker) reply(message []byte) error { return a.connection.Reply(message) }
func (a *streamAsker) release()                   { a.connection.Release() }
