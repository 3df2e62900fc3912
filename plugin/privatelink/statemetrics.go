package privatelink

import (
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/stream"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// stateCollector tells the state of what outlives a configuration - servers, cache,
// sockets - at the moment of the scrape, so that nothing has to be kept up to date for
// it. It is safe for concurrent use.
type stateCollector struct {
	shared *slot
	// state is 1 for the state that a server is in, and 0 for its others.
	state     series
	upstreams []upstreamSeries
	cached    []cacheSeries
	fronts    []frontSeries
	// handedOver and waiting are about the queries that were not answered in place.
	handedOver, waiting series
	linked              series
	// truncated and unfollowed are about answers that did not fit into a datagram.
	truncated, unfollowed series
	limited               series
}

// series is one metric of a collector.
type series struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
}

type upstreamSeries struct {
	series
	// read is not ok where there is nothing to tell: no limit, no reply yet.
	read func(*upstreamReading) (value float64, ok bool)
}

// upstreamReading is what is known of a server.
type upstreamReading struct {
	health upstream.Health
	stats  upstream.Stats
	budget upstream.Budget
}

type cacheSeries struct {
	series
	labels []string
	read   func(*cache.Stats) float64
}

type frontSeries struct {
	series
	labels []string
	read   func(*frontReading) float64
}

// frontReading is what is known of a front.
type frontReading struct {
	datagrams batch.Stats
	streams   stream.Stats
}

func counter(name, help string, labels ...string) series {
	return series{description(name, help, labels), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) series {
	return series{description(name, help, labels), prometheus.GaugeValue}
}

func description(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, pluginName, name), help, labels, nil)
}

func (s series) tell(samples chan<- prometheus.Metric, value float64, labels ...string) {
	samples <- prometheus.MustNewConstMetric(s.description, s.kind, value, labels...)
}

func newStateCollector(shared *slot) *stateCollector {
	return &stateCollector{
		shared:     shared,
		state:      gauge("upstream_state", "1 for the state that an upstream server is in, 0 for the others.", "upstream", "state"),
		upstreams:  newUpstreamSeries(),
		cached:     newCacheSeries(),
		fronts:     newFrontSeries(),
		handedOver: counter("front_handed_over_total", "Queries that our sockets received and that were not answered in place."),
		waiting:    gauge("front_waiting", "Queries that our sockets received and that wait for their answer."),
		linked:     gauge("zone_linked", "Whether a private zone in use is linked to the network that an upstream group asks from.", "zone", "group"),
		truncated:  counter("truncated_total", "Answers that were truncated because they do not fit into the client's datagrams."),
		unfollowed: counter("truncated_unfollowed_total", "Truncated answers after which nobody of the client's network came by TCP."),
		limited:    counter("ratelimited_total", "Queries over UDP that were beyond a limit of their client or its network.", "limit", "reply"),
	}
}

func newUpstreamSeries() []upstreamSeries {
	of := func(kind func(string, string, ...string) series, name, help string, read func(*upstreamReading) (float64, bool)) upstreamSeries {
		return upstreamSeries{kind("upstream_"+name, help, "upstream"), read}
	}
	always := func(read func(*upstreamReading) float64) func(*upstreamReading) (float64, bool) {
		return func(u *upstreamReading) (float64, bool) { return read(u), true }
	}
	positive := func(read func(*upstreamReading) float64) func(*upstreamReading) (float64, bool) {
		return func(u *upstreamReading) (float64, bool) { value := read(u); return value, value > 0 }
	}
	return []upstreamSeries{
		of(gauge, "rtt_seconds", "Smoothed round trip to an upstream server.", positive(func(u *upstreamReading) float64 { return u.health.RTT.Seconds() })),
		of(gauge, "rtt_p95_seconds", "Time within which 95 of 100 replies of an upstream server came lately.", positive(func(u *upstreamReading) float64 { return u.health.P95.Seconds() })),
		of(gauge, "sent_per_second", "Queries sent to an upstream server in the last whole second.", always(func(u *upstreamReading) float64 { return float64(u.stats.PerSecond) })),
		of(gauge, "limit_per_second", "Queries that an upstream server takes in a second.", positive(func(u *upstreamReading) float64 { return float64(u.budget.PerSecond) })),
		of(gauge, "outstanding", "Queries that an upstream server is at work on.", always(func(u *upstreamReading) float64 { return float64(u.stats.Outstanding) })),
		of(gauge, "outstanding_limit", "Queries that an upstream server works on at once.", positive(func(u *upstreamReading) float64 { return float64(u.budget.Outstanding) })),
		of(gauge, "waiting", "Queries that wait for an upstream server's budget.", always(func(u *upstreamReading) float64 { return float64(u.stats.Waiting) })),
		of(counter, "waited_total", "Queries that had to wait for an upstream server's budget.", always(func(u *upstreamReading) float64 { return float64(u.stats.Waited) })),
		of(counter, "refused_total", "Queries that were not sent for want of an upstream server's budget.", always(func(u *upstreamReading) float64 { return float64(u.stats.Refused) })),
		of(counter, "ignored_total", "Messages of an upstream server that were no reply to a pending question.", always(func(u *upstreamReading) float64 { return float64(u.stats.Ignored) })),
		of(gauge, "sockets", "Open UDP sockets to an upstream server.", always(func(u *upstreamReading) float64 { return float64(u.stats.Sockets) })),
	}
}

func newCacheSeries() []cacheSeries {
	entries := gauge("cache_entries", "Answers and failures that are kept.", "kind")
	evictions := counter("cache_evictions_total", "Answers and failures that a limit put out of the cache.", "limit")
	return []cacheSeries{
		{entries, []string{"answer"}, func(s *cache.Stats) float64 { return float64(s.Entries) }},
		{entries, []string{"failure"}, func(s *cache.Stats) float64 { return float64(s.Failures) }},
		{gauge("cache_bytes", "Memory that kept answers and failures take."), nil, func(s *cache.Stats) float64 { return float64(s.Bytes) }},
		{evictions, []string{"entries"}, func(s *cache.Stats) float64 { return float64(s.EvictedByEntries) }},
		{evictions, []string{"bytes"}, func(s *cache.Stats) float64 { return float64(s.EvictedByBytes) }},
		{counter("cache_expired_total", "Answers that were found too old to be used even as stale."), nil, func(s *cache.Stats) float64 { return float64(s.Expired) }},
		{counter("cache_flushed_total", "Answers that an operator had forgotten."), nil, func(s *cache.Stats) float64 { return float64(s.Flushed) }},
		{counter("cache_restored_total", "Answers that were brought over from the process before."), nil, func(s *cache.Stats) float64 { return float64(s.Restored) }},
	}
}

func newFrontSeries() []frontSeries {
	received := counter("front_received_total", "Queries that our sockets received.", "server", "transport")
	sent := counter("front_sent_total", "Replies that our sockets sent.", "server", "transport")
	steered := gauge("front_steered", "Whether all queries to the address were seen to arrive at our sockets.", "server", "transport")
	failures := counter("front_failures_total", "What our sockets failed on.", "server", "transport", "failure")
	closed := counter("front_connections_closed_total", "Connections that we refused or closed before the client did, by why.", "server", "reason")
	udp, tcp := string(upstream.UDP), string(upstream.TCP)
	return []frontSeries{
		{received, []string{udp}, func(f *frontReading) float64 { return float64(f.datagrams.Received) }},
		{received, []string{tcp}, func(f *frontReading) float64 { return float64(f.streams.Messages) }},
		{sent, []string{udp}, func(f *frontReading) float64 { return float64(f.datagrams.Sent) }},
		{sent, []string{tcp}, func(f *frontReading) float64 { return float64(f.streams.Replies) }},
		{steered, []string{udp}, func(f *frontReading) float64 { return number(f.datagrams.Steered) }},
		{steered, []string{tcp}, func(f *frontReading) float64 { return number(f.streams.Steered) }},
		{failures, []string{udp, "send"}, func(f *frontReading) float64 { return float64(f.datagrams.SendErrors) }},
		{failures, []string{udp, "receive"}, func(f *frontReading) float64 { return float64(f.datagrams.ReceiveErrors) }},
		{failures, []string{udp, "too_long"}, func(f *frontReading) float64 { return float64(f.datagrams.Truncated) }},
		{failures, []string{udp, "panic"}, func(f *frontReading) float64 { return float64(f.datagrams.Panics) }},
		{failures, []string{tcp, "receive"}, func(f *frontReading) float64 { return float64(f.streams.AcceptErrors) }},
		{failures, []string{tcp, "panic"}, func(f *frontReading) float64 { return float64(f.streams.Panics) }},
		{counter("front_dropped_total", "Datagrams that the kernel dropped at our sockets, mostly for want of receive buffer.", "server"), nil, func(f *frontReading) float64 { return float64(f.datagrams.Dropped) }},
		{gauge("front_receive_buffer_bytes", "Receive buffer of our smallest UDP socket, as the kernel counts it.", "server"), nil, func(f *frontReading) float64 { return float64(f.datagrams.ReceiveBuffer) }},
		{gauge("front_connections", "Open TCP connections.", "server"), nil, func(f *frontReading) float64 { return float64(f.streams.Open) }},
		{counter("front_connections_accepted_total", "TCP connections that clients made, those that were refused included.", "server"), nil, func(f *frontReading) float64 { return float64(f.streams.Accepted) }},
		{closed, []string{"full"}, func(f *frontReading) float64 { return float64(f.streams.RefusedFull + f.streams.EvictedFull) }},
		{closed, []string{"client"}, func(f *frontReading) float64 { return float64(f.streams.RefusedClient + f.streams.EvictedClient) }},
		{closed, []string{"idle"}, func(f *frontReading) float64 { return float64(f.streams.ClosedIdle + f.streams.ClosedUnused) }},
		{closed, []string{"slow"}, func(f *frontReading) float64 { return float64(f.streams.ClosedSlow + f.streams.CutSlow) }},
		{closed, []string{"memory"}, func(f *frontReading) float64 { return float64(f.streams.CutMemory) }},
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(descriptions chan<- *prometheus.Desc) {
	told := map[*prometheus.Desc]bool{}
	describe := func(s series) {
		if !told[s.description] {
			told[s.description] = true
			descriptions <- s.description
		}
	}
	for _, s := range []series{c.state, c.handedOver, c.waiting, c.linked, c.truncated, c.unfollowed, c.limited} {
		describe(s)
	}
	for _, s := range c.upstreams {
		describe(s.series)
	}
	for _, s := range c.cached {
		describe(s.series)
	}
	for _, s := range c.fronts {
		describe(s.series)
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(samples chan<- prometheus.Metric) {
	c.collectUpstreams(samples)
	if answers := c.shared.answersNow(); answers != nil {
		stats := answers.Stats()
		for _, s := range c.cached {
			s.tell(samples, s.read(&stats), s.labels...)
		}
	}
	c.shared.links.each(time.Now(), func(link zoneLink, linked bool) {
		c.linked.tell(samples, number(linked), link.zone, link.group)
	})
	c.truncated.tell(samples, float64(c.shared.truncations.sent.Load()))
	c.unfollowed.tell(samples, float64(c.shared.truncations.unfollowed.Load()))
	c.collectLimited(samples)
	c.collectFronts(samples)
}

func (c *stateCollector) collectUpstreams(samples chan<- prometheus.Metric) {
	c.shared.mutex.Lock()
	defer c.shared.mutex.Unlock()
	for endpoint, held := range c.shared.servers {
		reading := upstreamReading{health: held.server.Health(), stats: held.server.Stats(), budget: held.budget}
		label := endpoint.String()
		for _, state := range upstreamStates {
			c.state.tell(samples, number(stateOf(reading.health) == state), label, state)
		}
		for _, s := range c.upstreams {
			if value, ok := s.read(&reading); ok {
				s.tell(samples, value, label)
			}
		}
	}
}

// upstreamStates are the states of an upstream server.
var upstreamStates = []string{"up", "suspected", "down"}

// stateOf names the state of an upstream server.
func stateOf(health upstream.Health) string {
	switch {
	case health.Down:
		return "down"
	case health.Suspected:
		return "suspected"
	default:
		return "up"
	}
}

// collectFronts leaves the fronts out while a reload holds them, which can take as long
// as a query may wait: a scrape must not.
func (c *stateCollector) collectFronts(samples chan<- prometheus.Metric) {
	c.handedOver.tell(samples, float64(c.shared.handedOver.Load()))
	if !c.shared.frontsMutex.TryLock() {
		return
	}
	defer c.shared.frontsMutex.Unlock()
	waiting := map[*Handler]int{}
	for name, standing := range c.shared.fronts {
		reading, handler := frontReading{standing.group.Stats(), standing.streams.Stats()}, standing.serving.Load().handler
		waiting[handler] = handler.waiting.now()
		for _, s := range c.fronts {
			s.tell(samples, s.read(&reading), append([]string{name}, s.labels...)...)
		}
	}
	sum := 0
	for _, count := range waiting {
		sum += count
	}
	c.waiting.tell(samples, float64(sum))
}

// newBuildInfo tells what runs.
func newBuildInfo() prometheus.Collector {
	release, _, _ := strings.Cut(caddy.AppVersion, " (")
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: plugin.Namespace, Subsystem: pluginName, Name: "build_info", Help: "1, with the versions of what runs as labels.",
		ConstLabels: prometheus.Labels{"version": release, "coredns": corednsVersion(), "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

func corednsVersion() string {
	if info, known := debug.ReadBuildInfo(); known {
		for _, dependency := range info.Deps {
			if dependency.Path == "github.com/coredns/coredns" {
				return dependency.Version
			}
		}
	}
	return "unknown"
}
