package privatelink

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/coredns/coredns/core/dnsserver"
	coremetrics "github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
	"github.com/privatelink-dns/privatelink-dns/plugin/stream"
)

// front stands at a server's address in front of CoreDNS's own sockets: our read
// loops. It outlives a configuration, so that a reload loses no datagram and closes no
// connection.
type front struct {
	group   *batch.Group
	address netip.AddrPort
	streams *stream.Server
	serving atomic.Pointer[serving]
}

// serving is whom a front serves for.
type serving struct {
	handler *Handler
	server  *dnsserver.Server
	// requests are CoreDNS's own metrics, nil where nobody wants them.
	requests *requestMetrics
}

// openFront opens the sockets at the address of a server, and serves.
func openFront(address netip.AddrPort, way *serving) (*front, error) {
	group, err := batch.Listen(address, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	streams, err := stream.Listen(group.Addr(), way.streamOptions())
	if err != nil {
		_ = group.Close()
		return nil, err
	}
	f := &front{group: group, streams: streams, address: group.Addr()}
	f.serving.Store(way)
	group.Serve(func(int) batch.Worker { return newDatagramLoop(f) })
	streams.Serve(2*runtime.GOMAXPROCS(0), func() stream.Worker { return newStreamLoop(f) })
	return f, nil
}

// standInFront puts our read loops in front of a server that starts now, where every
// query to it may be answered in place.
func (r *running) standInFront(server *dnsserver.Server, block *dnsserver.Config) {
	defer r.shared.successors.begin(server.Addr)
	reason := reasonAgainst(server, block)
	address, known := frontAddress(server)
	switch {
	case r.config.fastPathOff:
		reason = "fastpath is off"
	case reason == "" && !known:
		reason = "the address is not a plain one"
	}
	if reason != "" {
		r.log.Infof("queries to %s pass through CoreDNS's own server: %s", server.Addr, reason)
		return
	}
	way := &serving{handler: r.handler, server: server}
	if metrics, counted := block.Handler("prometheus").(*coremetrics.Metrics); counted {
		way.requests = newRequestMetrics(metrics, server.Addr)
	}
	if err := r.shared.serveFront(server.Addr, address, way); err != nil {
		r.log.Warningf("queries to %s pass through CoreDNS's own server: %s", server.Addr, err)
	}
}

// serveFront serves at an address, in the place of the configuration before if a
// front stands there already.
func (s *slot) serveFront(name string, address netip.AddrPort, way *serving) error {
	s.frontsMutex.Lock()
	defer s.frontsMutex.Unlock()
	if standing := s.fronts[name]; standing != nil {
		standing.serving.Store(way)
		standing.streams.SetOptions(way.streamOptions())
		return nil
	}
	opened, err := openFront(address, way)
	if err != nil {
		return err
	}
	s.fronts[name] = opened
	return nil
}

// endFronts closes the fronts that still serve for a handler: what they have
// received is answered, and what comes from now on is CoreDNS's. Connections end.
//
// Those that somebody else serves with by now are steered anew: CoreDNS has closed
// a socket of the handler's server.
func (s *slot) endFronts(handler *Handler) {
	s.successors.leave(s.frontsOf(handler))
	s.frontsMutex.Lock()
	defer s.frontsMutex.Unlock()
	var ended []*front
	for name, standing := range s.fronts {
		if standing.serving.Load().handler != handler {
			_ = standing.group.Steer()
			_ = standing.streams.Steer()
			continue
		}
		standing.group.Stop()
		standing.streams.Stop()
		delete(s.fronts, name)
		ended = append(ended, standing)
	}
	handler.waiting.end()
	for _, f := range ended {
		_ = f.group.Close()
		_ = f.streams.Close()
	}
}

// frontsOf lists the fronts that serve for a handler, by CoreDNS's names.
func (s *slot) frontsOf(handler *Handler) (names []string) {
	s.frontsMutex.Lock()
	defer s.frontsMutex.Unlock()
	for name, standing := range s.fronts {
		if standing.serving.Load().handler == handler {
			names = append(names, name)
		}
	}
	return names
}

// frontAddress returns where a server listens, false where that is not to be told
// from its configuration.
func frontAddress(server *dnsserver.Server) (netip.AddrPort, bool) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(server.Addr, transport.DNS+"://"))
	if err != nil || port == "0" {
		return netip.AddrPort{}, false
	}
	if host == "" {
		host = "::"
	}
	address, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	return address, err == nil && address.Addr().Zone() == ""
}

// passive are the plugins that need not see a query that is answered in place.
var passive = []string{pluginName, "prometheus", "errors"}

// reasonAgainst says why queries to a server are not to be answered in place; empty
// where they are.
func reasonAgainst(server *dnsserver.Server, block *dnsserver.Config) string {
	for _, handler := range block.Handlers() {
		if name := handler.Name(); !slices.Contains(passive, name) {
			return fmt.Sprintf("plugin %s has to see every query", name)
		}
	}
	if block.ViewName != "" || len(block.FilterFuncs) > 0 {
		return "a view decides which queries are this block's"
	}
	if block.ProxyProtoConnPolicy != nil {
		return "clients' addresses come by PROXY protocol"
	}
	if zones := zonesOf(server); !slices.Equal(zones, []string{"."}) {
		return fmt.Sprintf("the address serves the zones %v, and only \".\" alone is answered in place", zones)
	}
	return ""
}

// zonesOf lists the zones of a server, one for every block: it keeps them to itself.
func zonesOf(server *dnsserver.Server) []string {
	var zones []string
	field := reflect.ValueOf(server).Elem().FieldByName("zones")
	if field.Kind() != reflect.Map {
		return nil
	}
	for blocks := field.MapRange(); blocks.Next(); {
		for range blocks.Value().Len() {
			zones = append(zones, blocks.Key().String())
		}
	}
	slices.Sort(zones)
	return zones
}

// datagramLoop is the batch.Worker of one socket.
type datagramLoop struct {
	readLoop
	from datagramAsker
}

func newDatagramLoop(f *front) *datagramLoop {
	return &datagramLoop{readLoop: readLoop{front: f}, from: datagramAsker{front: f}}
}

// Answer implements batch.Worker.
func (l *datagramLoop) Answer(datagram []byte, peer batch.Peer, buffer []byte) []byte {
	l.from.peer = peer
	return l.answerMessage(datagram, &l.from, buffer)
}

// Flush implements batch.Worker.
func (l *datagramLoop) Flush() { l.next() }

// datagramAsker is who sent a datagram.
type datagramAsker struct {
	front *front
	peer  batch.Peer
}

func (a *datagramAsker) client() netip.AddrPort { return a.peer.Remote }

func (a *datagramAsker) server() netip.AddrPort {
	if a.peer.Local.IsValid() {
		return netip.AddrPortFrom(a.peer.Local, a.front.address.Port())
	}
	return a.front.address
}

func (a *datagramAsker) transport() string { return "udp" }

func (a *datagramAsker) netAddr(address netip.AddrPort) net.Addr {
	return net.UDPAddrFromAddrPort(address)
}

func (a *datagramAsker) kept() asker {
	copied := *a
	return &copied
}

func (a *datagramAsker) reply(datagram []byte) error { return a.front.group.Reply(a.peer, datagram) }
func (a *datagramAsker) release()                    {}
