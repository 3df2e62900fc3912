package privatelink

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/transport"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// limiting is the process's count of what clients send, whatever their limits are. It
// is safe for concurrent use.
type limiting struct {
	limiter *ratelimit.Limiter
	// notices are the networks to be told of; untold those that there was no room for.
	notices chan limitNotice
	untold  atomic.Uint64
}

// limitNotice is a network that is over a limit.
type limitNotice struct {
	network netip.Prefix
	limits  ratelimit.Limits
}

// maxNotices is how many networks the log tells of at once: a flood names a great many.
const maxNotices = 8

// limitingOf returns the process's count of what clients send, nil where there are no
// limits.
func (s *slot) limitingOf(limits ratelimit.Limits) *limiting {
	if limits == (ratelimit.Limits{}) {
		return nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.limiting == nil {
		seed := [2]uint64{rand.Uint64(), rand.Uint64()}
		s.limiting = &limiting{limiter: ratelimit.NewLimiter(seed, time.Now()), notices: make(chan limitNotice, maxNotices)}
	}
	return s.limiting
}

// limitStats are what was limited so far.
func (s *slot) limitStats() ratelimit.Stats {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.limiting == nil {
		return ratelimit.Stats{}
	}
	return s.limiting.limiter.Stats()
}

func (c *stateCollector) collectLimited(samples chan<- prometheus.Metric) {
	stats := c.shared.limitStats()
	c.limited.tell(samples, float64(stats.ClientTruncated), "client", "truncated")
	c.limited.tell(samples, float64(stats.ClientDropped), "client", "dropped")
	c.limited.tell(samples, float64(stats.NetworkTruncated), "network", "truncated")
	c.limited.tell(samples, float64(stats.NetworkDropped), "network", "dropped")
}

// limit says what becomes of a datagram that may be one too many. Declared resolvers and
// the load balancer's probes never are. A client with a cookie of ours is where it says
// to be, and its network's limit is not for it (RFC 7873 section 5.2.4).
func (s *service) limit(asked *wire.Query, client netip.Addr) ratelimit.Verdict {
	if client == azureDNS || s.policy.Clients.ClassOf(client).IsResolver() {
		return ratelimit.Pass
	}
	now := s.now()
	said := s.limiting.limiter.Take(client, s.cookies.Valid(asked, client, now), s.limits, now)
	if said != ratelimit.Pass && s.limiting.limiter.Notice(client, now) {
		s.limiting.notice(limitNotice{ratelimit.NetworkOf(client), s.limits})
	}
	return said
}

func (l *limiting) notice(found limitNotice) {
	select {
	case l.notices <- found:
	default:
		l.untold.Add(1)
	}
}

// appendLimited appends the reply to a datagram that is one too many, nothing where it
// is dropped.
func (s *service) appendLimited(buffer []byte, asked *wire.Query, client netip.Addr, said ratelimit.Verdict) []byte {
	if said == ratelimit.Drop {
		return buffer
	}
	var room [optionsRoom]byte
	// With the cookie in it the client need not come by TCP the next time.
	options := s.cookies.AppendOption(room[:0], asked, client, s.now())
	return wire.AppendTruncated(buffer, asked, wire.Presentation{Options: options})
}

// limit replies to a message that is one too many, and reports whether it is.
func (s *serving) limit(asked *wire.Query, from asker, buffer []byte) (reply []byte, limited bool) {
	service := s.handler.current.Load().service
	if service.limiting == nil || from.transport() != "udp" {
		return buffer, false
	}
	client := from.client().Addr()
	said := service.limit(asked, client)
	if said == ratelimit.Pass {
		return buffer, false
	}
	return service.appendLimited(buffer, asked, client, said), true
}

// countedKey marks, in a context, a query that a front has held to the limits already.
type countedKey struct{}

// limitQuery replies to a query that came by CoreDNS's own server and is one too many, and
// reports whether it is. Over QUIC there is no TCP to come by, and no false sender.
func (s *service) limitQuery(ctx context.Context, w dns.ResponseWriter, q *query) (limited bool, err error) {
	server, _ := ctx.Value(dnsserver.Key{}).(*dnsserver.Server)
	plain := server == nil || strings.HasPrefix(server.Addr, transport.DNS+"://")
	if s.limiting == nil || q.transport != "udp" || !plain || ctx.Value(countedKey{}) != nil {
		return false, nil
	}
	client := q.client.Addr()
	said := s.limit(q.asked, client)
	if said == ratelimit.Pass {
		return false, nil
	}
	composed := s.appendLimited(nil, q.asked, client, said)
	if len(composed) == 0 {
		return true, nil
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(composed); err != nil {
		return true, err
	}
	return true, w.WriteMsg(reply)
}

// tellLimited tells the operator of networks that are over a limit.
func (r *running) tellLimited() {
	l := r.handler.current.Load().service.limiting
	if l == nil {
		return
	}
	for range maxNotices {
		select {
		case found := <-l.notices:
			r.log.Warningf("clients in %s are held to ratelimit, at more than %d questions a second each or %d together: coredns_privatelink_ratelimited_total counts them", found.network, found.limits.PerClient, found.limits.PerNetwork)
			continue
		default:
		}
		break
	}
	if untold := l.untold.Swap(0); untold > 0 {
		r.log.Warningf("so are those in %d other networks", untold)
	}
}
