package stream

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// handshakeTime is how long connections that have begun here still may be made after
	// new ones go elsewhere: a handshake half way through takes a round trip more.
	handshakeTime = 500 * time.Millisecond
	// emptyTime is how long connections that are made already are still taken where there
	// is nobody else for those that follow.
	emptyTime = 10 * time.Millisecond
	// closeTime is how long connections may take to end after Stop.
	closeTime = 6 * time.Second
)

// Server is a listener bound to an address beside those of others, and its
// connections. Its methods may be called from any goroutine, but a worker may call only
// Stats and Addr: the others wait for it.
type Server struct {
	listener *net.TCPListener
	address  netip.AddrPort
	options  atomic.Pointer[Options] // none of them 0

	workers     chan Worker // those that have nothing to do
	roster      roster
	rooms       sync.Pool    // of *[]byte, for replies
	buffered    atomic.Int64 // octets beyond usualRoom of what was read and of queued replies
	tally       tally
	lastPanic   atomic.Pointer[string]
	steered     atomic.Bool
	probes      atomic.Pointer[probes] // nil unless the listener is being located
	accepting   chan struct{}          // closed when no more are accepted
	reading     sync.WaitGroup         // connections that still read
	connections sync.WaitGroup         // connections that have not ended

	mutex  sync.Mutex // held while the state is used, and for as long as that takes
	state  state
	index  int   // of our listener among those of the address, as last located
	toward []int // the indexes that connections are steered to, nil for any
}

// state is how far a server has come.
type state int

const (
	listening state = iota
	serving
	stopped
	closed
)

// tally is what is counted. See Stats.
type tally struct {
	accepted, messages, replies                              atomic.Uint64
	refusedFull, refusedClient, evictedFull, evictedClient   atomic.Uint64
	closedIdle, closedUnused, closedSlow, cutSlow, cutMemory atomic.Uint64
	acceptErrors, panics                                     atomic.Uint64
	inFlight                                                 atomic.Int64
}

// newServer serves connections that somebody else accepts.
func newServer(options Options) *Server {
	s := &Server{accepting: make(chan struct{}), roster: roster{clients: map[netip.Addr]*list.List{}}}
	s.SetOptions(options)
	s.rooms.New = func() any {
		room := make([]byte, 0, usualRoom)
		return &room
	}
	return s
}

// SetOptions changes the bounds. Connections beyond new ones stay, and a time that runs
// already runs on. It may be called at any time.
func (s *Server) SetOptions(options Options) {
	options = options.withDefaults()
	s.options.Store(&options)
}

// Addr is the address the listener is bound to, with the port that was chosen if 0 was
// asked for.
func (s *Server) Addr() netip.AddrPort { return s.address }

// Serve accepts connections, has a number of workers answer their messages, and steers
// all new connections to this server (see Steer; Stats tells whether that succeeded).
// Twice as many workers as processors keep all of those at work. A second call does
// nothing.
func (s *Server) Serve(workers int, newWorker func() Worker) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.state != listening {
		return
	}
	s.state = serving
	s.employ(workers, newWorker)
	go s.accept()
	_ = s.steer()
}

func (s *Server) employ(workers int, newWorker func() Worker) {
	s.workers = make(chan Worker, workers)
	for range workers {
		s.workers <- newWorker()
	}
}

// accept takes connections until the listener's deadline.
func (s *Server) accept() {
	defer close(s.accepting)
	for {
		conn, err := s.listener.AcceptTCP()
		switch {
		case err == nil:
			s.take(conn, addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr()))
		case isFinal(err):
			return
		default:
			s.tally.acceptErrors.Add(1)
			s.roster.evictOne()
			// For want of files or memory: trying at full speed makes nothing better.
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// isFinal tells that accepting has been ended from something that may pass.
func isFinal(err error) bool {
	timeout, is := errors.AsType[net.Error](err)
	return errors.Is(err, net.ErrClosed) || is && timeout.Timeout()
}

// take serves a connection, or refuses it.
func (s *Server) take(conn net.Conn, remote, local netip.AddrPort) {
	if s.sighted(remote) {
		_ = conn.Close()
		return
	}
	s.tally.accepted.Add(1)
	c := newConnection(s, conn, remote, local)
	v := s.roster.admit(c, s.options.Load())
	s.count(v)
	if v.evicted != nil {
		v.evicted.evict()
	}
	if !v.admitted {
		_ = conn.Close()
		return
	}
	s.reading.Add(1)
	s.connections.Add(1)
	go c.serve()
}

func (s *Server) count(v verdict) {
	switch {
	case v.client && v.admitted:
		s.tally.evictedClient.Add(1)
	case v.client:
		s.tally.refusedClient.Add(1)
	case v.full && v.admitted:
		s.tally.evictedFull.Add(1)
	case v.full:
		s.tally.refusedFull.Add(1)
	}
}

func addrPort(address net.Addr) netip.AddrPort {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	parsed := tcp.AddrPort()
	return netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port())
}

// Stats sums up. It may be called at any time, after Close too.
func (s *Server) Stats() Stats {
	t := &s.tally
	stats := Stats{
		Accepted: t.accepted.Load(), Messages: t.messages.Load(), Replies: t.replies.Load(),
		Open: s.roster.open(), InFlight: int(t.inFlight.Load()),
		RefusedFull: t.refusedFull.Load(), RefusedClient: t.refusedClient.Load(),
		EvictedFull: t.evictedFull.Load(), EvictedClient: t.evictedClient.Load(),
		ClosedIdle: t.closedIdle.Load(), ClosedUnused: t.closedUnused.Load(), ClosedSlow: t.closedSlow.Load(),
		CutSlow: t.cutSlow.Load(), CutMemory: t.cutMemory.Load(),
		AcceptErrors: t.acceptErrors.Load(), Panics: t.panics.Load(),
		Steered: s.steered.Load(),
	}
	if text := s.lastPanic.Load(); text != nil {
		stats.LastPanic = *text
	}
	return stats
}

// Stop gives the address back to the other listeners: it steers new connections to them,
// takes those that had begun here, and returns when no connection is read from any more
// and the worker was given all that had come. Replies still leave; when the last has been
// released, call Close. Where there is no other listener, new connections are refused
// from then on.
//
// It takes half a second where there is another listener. A second call, and one before
// Serve, does nothing.
func (s *Server) Stop() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stop()
}

func (s *Server) stop() {
	if s.state != serving {
		return
	}
	s.state = stopped
	s.steered.Store(false)
	wait := emptyTime
	if s.leave() {
		wait = handshakeTime
	}
	_ = s.listener.SetDeadline(time.Now().Add(wait))
	<-s.accepting
	_ = s.listener.Close()
	for _, c := range s.roster.everyone() {
		c.stop()
	}
	s.reading.Wait()
}

// Close stops serving, if Stop has not done so, and closes every connection as soon as
// its replies have left, but cuts those that take longer than some seconds. No worker is
// being called when it returns, and none will be.
func (s *Server) Close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.state == closed {
		return nil
	}
	s.stop()
	err := s.listener.Close()
	if s.state == stopped {
		err = nil
	}
	s.state = closed
	cut := time.AfterFunc(closeTime, func() {
		for _, c := range s.roster.everyone() {
			c.fail()
		}
	})
	defer cut.Stop()
	s.connections.Wait()
	return err
}

// Steer has the kernel give all new connections to this server, and finds out whether it
// does. Serve does so. It has to be done again after another listener of the address was
// closed, because ours may have taken its place: at the end of a reload of the other
// server, for example. It takes a few milliseconds and disturbs nothing.
//
// After an error some connections may go to the other listeners, until another call
// succeeds; none is lost. After Stop it returns net.ErrClosed.
func (s *Server) Steer() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.state != serving {
		return net.ErrClosed
	}
	return s.steer()
}
