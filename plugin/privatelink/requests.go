package privatelink

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	coremetrics "github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// requestMetrics are the series of CoreDNS's prometheus plugin for the queries that
// it does not see. Series are found once, because looking them up by their labels
// costs more than an answer. It is safe for concurrent use.
type requestMetrics struct {
	metrics *coremetrics.Metrics
	server  string
	// plugin is whose handler prometheus calls, which CoreDNS's series of responses
	// name as who wrote them, whoever did.
	plugin string
	// root are the series of the zone ".", which nearly all servers have alone, by
	// transport.
	root struct{ udp, tcp *zoneRequests }
	// names are those of all zones, which are all known when the first query is served;
	// nil before.
	names atomic.Pointer[[]string]
}

// zoneRequests are the series of one zone.
type zoneRequests struct {
	server, zone  string
	transport     string
	plugin        string
	duration      prometheus.Observer
	requestSizes  prometheus.Observer
	responseSizes prometheus.Observer
	signed        prometheus.Counter
	// types are by family, IPv4 first, and type; the last one is for all others.
	types  [2][len(knownTypes)]atomic.Pointer[prometheus.Counter]
	rcodes [16]atomic.Pointer[prometheus.Counter]
}

// knownTypes are the types that CoreDNS has a label for. All others are "other".
var knownTypes = [257]bool{
	dns.TypeAAAA: true, dns.TypeA: true, dns.TypeCNAME: true, dns.TypeDNSKEY: true, dns.TypeDS: true,
	dns.TypeMX: true, dns.TypeNSEC3: true, dns.TypeNSEC: true, dns.TypeNS: true, dns.TypePTR: true,
	dns.TypeRRSIG: true, dns.TypeSOA: true, dns.TypeSRV: true, dns.TypeTXT: true, dns.TypeHTTPS: true,
	dns.TypeSVCB: true, dns.TypeIXFR: true, dns.TypeAXFR: true, dns.TypeANY: true,
}

// otherTypes is the index of the types without a label.
const otherTypes = len(knownTypes) - 1

func newRequestMetrics(metrics *coremetrics.Metrics, server string) *requestMetrics {
	made := &requestMetrics{metrics: metrics, server: server}
	if metrics.Next != nil {
		made.plugin = metrics.Next.Name()
	}
	made.root.udp, made.root.tcp = made.zone(".", "udp"), made.zone(".", "tcp")
	return made
}

// zone finds the series of a zone.
func (m *requestMetrics) zone(zone, transport string) *zoneRequests {
	server := m.server
	return &zoneRequests{
		server: server, zone: zone, transport: transport, plugin: m.plugin,
		duration:      vars.RequestDuration.WithLabelValues(server, zone, ""),
		requestSizes:  vars.RequestSize.WithLabelValues(server, zone, "", transport),
		responseSizes: vars.ResponseSize.WithLabelValues(server, zone, "", transport),
		signed:        vars.RequestDo.WithLabelValues(server, zone, ""),
	}
}

// report counts a query and the sizes of its messages, as vars.Report does.
func (m *requestMetrics) report(o *outcome, question, reply int, now time.Time) {
	zone := m.root.udp
	if o.query.transport == "tcp" {
		zone = m.root.tcp
	}
	if names := m.zoneNames(); len(names) != 1 || names[0] != "." {
		if name := plugin.Zones(names).Matches(strings.Clone(o.query.name)); name != "" && name != "." {
			zone = m.zone(name, o.query.transport)
		}
	}
	zone.report(o, question, reply, now)
}

// zoneNames are asked for once: it takes a lock that all cores share.
func (m *requestMetrics) zoneNames() []string {
	if names := m.names.Load(); names != nil {
		return *names
	}
	names := m.metrics.ZoneNames()
	m.names.Store(&names)
	return names
}

func (z *zoneRequests) report(o *outcome, question, reply int, now time.Time) {
	if o.query.key.DO {
		z.signed.Inc()
	}
	family := 0
	if o.query.client.Addr().Is6() {
		family = 1
	}
	z.typeCounter(family, o.query.qtype).Inc()
	z.rcodeCounter(o.replyCode()).Inc()
	z.duration.Observe(now.Sub(o.query.arrived).Seconds())
	z.requestSizes.Observe(float64(question))
	z.responseSizes.Observe(float64(reply))
}

func (z *zoneRequests) typeCounter(family int, qtype uint16) prometheus.Counter {
	index, label := otherTypes, "other"
	if int(qtype) < otherTypes && knownTypes[qtype] {
		index, label = int(qtype), dns.Type(qtype).String()
	}
	cell := &z.types[family][index]
	if counter := cell.Load(); counter != nil {
		return *counter
	}
	counter := vars.RequestCount.WithLabelValues(z.server, z.zone, "", z.transport, [...]string{"1", "2"}[family], label)
	cell.Store(&counter)
	return counter
}

func (z *zoneRequests) rcodeCounter(rcode int) prometheus.Counter {
	cell := &z.rcodes[rcode&0xf]
	if counter := cell.Load(); counter != nil {
		return *counter
	}
	counter := vars.ResponseRcode.WithLabelValues(z.server, z.zone, "", rcodeName(rcode), z.plugin)
	cell.Store(&counter)
	return counter
}
