package privatelink

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// none stands in a label for what does not apply: a name outside the catalog,
// a query that was not answered from an upstream.
const none = "none"

// collectors are the series of this plugin, registered once in a process.
type collectors struct {
	queries      *prometheus.CounterVec
	decisions    *prometheus.CounterVec
	routed       *prometheus.CounterVec
	roundTrips   *prometheus.HistogramVec
	failures     *prometheus.CounterVec
	fallbacks    *prometheus.CounterVec
	cached       *prometheus.CounterVec
	uncatalogued prometheus.Counter
	logs         *logCollector
	config       *configMetrics
	looping      prometheus.Gauge
}

var registered = sync.OnceValue(func() *collectors { return register(prometheus.DefaultRegisterer, handover) })

// register registers all series of this plugin.
func register(registerer prometheus.Registerer, shared *slot) *collectors {
	registerer.MustRegister(newStateCollector(shared), newBuildInfo())
	return newCollectors(registerer)
}

func newCollectors(registerer prometheus.Registerer) *collectors {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: plugin.Namespace, Subsystem: pluginName, Name: name, Help: help}, labels)
	}
	c := &collectors{
		queries:   counters("queries_total", "Queries by catalogued namespace, by what the answer means that the client was given or kept from, and by the fallback that it came from.", "namespace", "verdict", "fallback"),
		decisions: counters("policy_decisions_total", "Queries by the policy rule that decided and the action it took.", "rule", "action"),
		routed:    counters("route_queries_total", "Queries by route and upstream group.", "route", "group"),
		failures:  counters("upstream_failures_total", "Attempts at an upstream that gave no usable answer.", "upstream", "reason"),
		fallbacks: counters("fallbacks_total", "Answers that came from a fallback group, by what led there.", "fallback"),
		cached:    counters("cache_queries_total", "Queries by where the answer came from.", "state"),
		roundTrips: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: plugin.Namespace, Subsystem: pluginName, Name: "upstream_duration_seconds",
			Help:                        "Time from a question to the upstream's answer.",
			Buckets:                     plugin.TimeBuckets,
			NativeHistogramBucketFactor: plugin.NativeHistogramBucketFactor,
		}, []string{"upstream", "transport"}),
		uncatalogued: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: plugin.Namespace, Subsystem: pluginName, Name: "uncatalogued_privatelink_total",
			Help: "Answers whose chain has a privatelink name that the catalog does not know.",
		}),
		logs:   newLogCollector(),
		config: newConfigMetrics(),
		looping: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: plugin.Namespace, Subsystem: pluginName, Name: "route_loops",
			Help: "Routes, by suffix and upstream group, that lead back to this server and are held back.",
		}),
	}
	registerer.MustRegister(c.queries, c.decisions, c.routed, c.failures, c.fallbacks, c.cached, c.roundTrips, c.uncatalogued, c.logs, c.config, c.looping)
	return c
}

// signals are what stands wrong around this server, be it asked or not: zones that are
// not linked, clients that do not come by TCP. They are the process's. It is safe for
// concurrent use; the zero value is ready.
type signals struct {
	// inUse and links are what the canary looks at.
	inUse zonesInUse
	links links
	// unknown are privatelink zones that the catalog does not know.
	unknown     zonesInUse
	truncations truncations
}

// metrics are the series of one configuration, found once so that counting a
// query looks nothing up by name. It is safe for concurrent use.
type metrics struct {
	collectors *collectors
	// queries is indexed by namespace, verdict and fallback, the last namespace and
	// verdict being none. A series is made when it is first counted: most never are.
	queries    [][][]atomic.Pointer[prometheus.Counter]
	namespaces []string
	decisions  [][]prometheus.Counter
	routed     map[*route]prometheus.Counter
	servers    map[serverKey]*serverMetrics
	fallbacks  map[fallback]prometheus.Counter
	cached     []prometheus.Counter // in the order of cacheStates
	*signals
}

// serverKey tells upstream servers apart by what an answer says of where it came from:
// two transports at one address are two servers. Plain DNS, over UDP and TCP, is one.
type serverKey struct {
	address netip.AddrPort
	secure  upstream.Transport
}

func keyOf(address netip.AddrPort, transport upstream.Transport) serverKey {
	if transport == upstream.UDP || transport == upstream.TCP {
		transport = ""
	}
	return serverKey{address, transport}
}

type serverMetrics struct {
	roundTrips                       map[upstream.Transport]prometheus.Observer
	silence, network, answer, unsent prometheus.Counter
}

// put makes a service the configuration in force, with series of its own.
func (h *Handler) put(s *service, c *collectors) {
	m := newMetrics(s, c)
	s.asked = m.countAsked
	h.current.Store(&configuration{service: s, metrics: m})
}

func newMetrics(s *service, c *collectors) *metrics {
	m := &metrics{collectors: c, signals: s.signals, routed: map[*route]prometheus.Counter{}, servers: map[serverKey]*serverMetrics{}, fallbacks: map[fallback]prometheus.Counter{}}
	for _, namespace := range s.catalog.Namespaces() {
		m.namespaces = append(m.namespaces, namespace.Suffix)
	}
	m.namespaces = append(m.namespaces, none)
	for range m.namespaces {
		meanings := make([][]atomic.Pointer[prometheus.Counter], len(verdict.Verdicts())+1)
		for meaning := range meanings {
			meanings[meaning] = make([]atomic.Pointer[prometheus.Counter], len(keptFallbacks))
		}
		m.queries = append(m.queries, meanings)
	}
	for _, rule := range policy.Rules() {
		var row []prometheus.Counter
		for _, action := range policy.Actions() {
			row = append(row, c.decisions.WithLabelValues(rule.String(), action.String()))
		}
		m.decisions = append(m.decisions, row)
	}
	for _, way := range s.routes.all {
		m.routed[way] = c.routed.WithLabelValues(way.label, way.group.Name)
	}
	for _, way := range []fallback{afterMissing, afterOutage} {
		m.fallbacks[way] = c.fallbacks.WithLabelValues(string(way))
	}
	for _, state := range cacheStates {
		m.cached = append(m.cached, c.cached.WithLabelValues(string(state)))
	}
	for _, server := range s.lease.endpoints {
		m.servers[keyOf(server.address, server.transport)] = newServerMetrics(server, c)
	}
	return m
}

func newServerMetrics(server endpoint, c *collectors) *serverMetrics {
	label, transports := server.String(), []upstream.Transport{server.transport}
	if server.transport == "" {
		transports = []upstream.Transport{upstream.UDP, upstream.TCP}
	}
	made := &serverMetrics{
		roundTrips: map[upstream.Transport]prometheus.Observer{},
		silence:    c.failures.WithLabelValues(label, "silence"),
		network:    c.failures.WithLabelValues(label, "network"),
		answer:     c.failures.WithLabelValues(label, "rcode"),
		unsent:     c.failures.WithLabelValues(label, "unsent"),
	}
	for _, transport := range transports {
		made.roundTrips[transport] = c.roundTrips.WithLabelValues(label, string(transport))
	}
	return made
}

// count counts a query that has been answered.
func (m *metrics) count(o *outcome) {
	namespace, meaning := len(m.queries)-1, len(verdict.Verdicts())
	if o.match.Namespace != nil {
		namespace = o.match.Namespace.Index
	}
	if o.answered() {
		meaning = int(o.finding.Verdict)
	}
	m.query(namespace, meaning, o.fallback).Inc()
	m.decisions[o.decision.Rule][o.decision.Action].Inc()
	if o.route != nil {
		m.routed[o.route].Inc()
	}
	// Only an upstream's chain puts a zone in use: a client could make zones up.
	if o.finding.ZoneName != "" && o.match.Zone == nil {
		m.inUse.note(o.finding.ZoneName)
	}
	if o.finding.Uncatalogued != "" {
		m.collectors.uncatalogued.Inc()
		m.noteUncatalogued(o)
	}
	if state := slices.Index(cacheStates[:], o.cacheState); state >= 0 {
		m.cached[state].Inc()
	}
	if o.fallback != noFallback {
		m.fallbacks[o.fallback].Inc()
	}
	m.countTransport(o)
}

// countTransport notes who was told to come by TCP, and who came.
func (m *metrics) countTransport(o *outcome) {
	switch {
	case o.truncated:
		m.truncations.truncated(o.query.client.Addr(), o.query.arrived)
	case o.query.transport == "tcp":
		m.truncations.came(o.query.client.Addr())
	}
}

// query returns the counter of a namespace and a verdict, by their indexes, and of the
// fallback that the answer came from.
func (m *metrics) query(namespace, meaning int, way fallback) prometheus.Counter {
	cell := &m.queries[namespace][meaning][way.flag()]
	if counter := cell.Load(); counter != nil {
		return *counter
	}
	label := none
	if verdicts := verdict.Verdicts(); meaning < len(verdicts) {
		label = verdicts[meaning].String()
	}
	counter := m.collectors.queries.WithLabelValues(m.namespaces[namespace], label, cmp.Or(string(way), none))
	cell.Store(&counter)
	return counter
}

// countAsked counts what became of a question to upstream groups, once, however many
// clients wait for it: none may, when an answer is asked for again before it expires.
func (m *metrics) countAsked(groups []askedGroup) {
	for index := range groups {
		if answer := groups[index].answer; answer != nil {
			m.servers[keyOf(answer.Server, answer.Transport)].roundTrips[answer.Transport].Observe(answer.RTT.Seconds())
		}
		for _, attempt := range groups[index].vain {
			m.servers[keyOf(attempt.Server, attempt.Transport)].failure(attempt.Err).Inc()
		}
	}
}

// failure is the counter of attempts that ended so; nil for a reply with an rcode that
// is no answer.
func (s *serverMetrics) failure(err error) prometheus.Counter {
	switch {
	case err == nil:
		return s.answer
	case errors.Is(err, upstream.ErrOverBudget), errors.Is(err, upstream.ErrDown), errors.Is(err, upstream.ErrBusy):
		return s.unsent
	case errors.Is(err, context.DeadlineExceeded):
		return s.silence
	}
	return s.network
}

// ReloadFailed notes that a Corefile was not even read, so that no stanza of it
// could: config_last_reload_successful becomes 0. It is safe for concurrent use.
func ReloadFailed() { registered().config.reloaded(false, time.Now()) }

func (m *metrics) reloaded(successful bool) { m.collectors.config.reloaded(successful, time.Now()) }

func (m *metrics) watchLog(log *querylog.Log) { m.collectors.logs.watch(log) }

func (m *metrics) forgetLog(log *querylog.Log) { m.collectors.logs.forget(log) }

func (m *metrics) loops(number int) { m.collectors.looping.Set(float64(number)) }
