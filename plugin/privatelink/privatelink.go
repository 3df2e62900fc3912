// Package privatelink is the CoreDNS plugin that acts as a customer-managed DNS
// service for private endpoints: it forwards public PaaS names to where their
// private addresses are known, rejects direct lookups of privatelink names by
// policy, and says of every answer what it means and why it was given.
package privatelink

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// azureDNS is Azure-provided DNS, and also where Azure's load balancer sends
// its health probes from. They are always answered, and neither counted nor
// logged as queries.
// https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
var azureDNS = netip.AddrFrom4([4]byte{168, 63, 129, 16})

// Handler is the plugin in a server block. It is safe for concurrent use once
// its start-up has run.
type Handler struct {
	current atomic.Pointer[configuration]
	log     *querylog.Log
	// waiting are the queries that a front has handed over.
	waiting waiting
	late    sync.Pool // of *lateAnswer, for those queries
}

// configuration is what is in force: it is replaced as a whole.
type configuration struct {
	service *service
	metrics *metrics
}

// Name returns the name of the plugin, as CoreDNS asks for it.
func (h *Handler) Name() string { return pluginName }

// Ready reports that the server is configured and listening. It never waits
// for upstreams: a load balancer would take every instance out at once.
func (h *Handler) Ready() bool { return true }

// ServeDNS answers a request. It writes every reply
// itself, save for one that it cannot compose.
func (h *Handler) ServeDNS(ctx context.Context, w dns.ResponseWriter, request *dns.Msg) (int, error) {
	c := h.current.Load()
	view, _ := ctx.Value(dnsserver.ViewKey{}).(string)
	q := readQuery(w, request, view, time.Now())
	if limited, err := c.service.limitQuery(ctx, w, &q); limited {
		return dns.RcodeSuccess, err
	}
	o := c.service.resolve(ctx, q)
	now := time.Now()
	c.service.remember(o, now)
	// CoreDNS's writer wants a message, for the plugins that look at it; our own
	// loops send the bytes.
	composed, reply := c.service.appendReply(nil, o, now), new(dns.Msg)
	if err := reply.Unpack(composed); err != nil {
		return dns.RcodeServerFailure, fmt.Errorf("composing the reply: %w", err)
	}
	reply.Compress = true
	err := w.WriteMsg(reply)
	if q.client.Addr() != azureDNS {
		c.metrics.count(o)
		h.record(o, composed, time.Now())
	}
	return dns.RcodeSuccess, err
}

// record logs a query that has been answered.
func (h *Handler) record(o *outcome, reply []byte, now time.Time) {
	if h.log != nil {
		var record querylog.Record
		o.fill(&record, reply, now)
		if h.log.TakesMessages() {
			o.fillMessages(&record)
		}
		h.log.Log(&record)
	}
}
