package logreport

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// maxNested bounds the lists within a row.
const maxNested = 5

// builder makes a report of a tally.
type builder struct {
	tally   *tally
	options Options
}

func build(t *tally, sources []SourceSummary, options Options) *Report {
	b := &builder{tally: t, options: options}
	r := &Report{
		Sources: sources, Queries: t.queries, Lines: t.lines, Sampled: t.sparse, PassedOver: t.passed,
		Unreadable: t.mistakes.count, Mistakes: t.mistakes.first,
		Latency:  latencyOf(&t.latency),
		Verdicts: counts(t.verdicts), Rcodes: counts(t.rcodes), Caches: counts(t.caches), Types: counts(t.types),
		Gaps:          top(t.timeline.gaps(), options.Top),
		DirectLookups: t.direct.total, DirectClients: b.directClients(),
		Zones: b.zones(), Withheld: b.withheldNames(), Slow: b.slow(), Upstreams: b.upstreams(),
		Fallbacks: b.fallbackNames(), Overrides: top(counts(t.overrides), options.Top), Uncatalogued: top(counts(t.uncatalogued), options.Top),
		Namespaces: uses(t.namespaces, options.Top), Clients: uses(t.clients, options.Top),
	}
	if t.first != 0 {
		r.From, r.To = time.UnixMicro(t.first).UTC(), time.UnixMicro(t.last).UTC()
		r.Timeline = t.timeline.buckets(r.From, r.To)
	}
	r.HitShare = hitShare(r.Caches)
	r.Findings = b.findings(r)
	return r
}

// hitShare leaves out the queries that needed no answer.
func hitShare(caches []Count) float64 {
	var hits, all uint64
	for _, state := range caches {
		switch state.Name {
		case "none":
			continue
		case "hit", "prefetch", "stale":
			hits += state.Queries
		}
		all += state.Queries
	}
	return share(hits, all)
}

func top[T any](rows []T, most int) []T { return rows[:min(len(rows), most)] }

func counts(s *sketch[nothing]) []Count {
	var rows []Count
	for _, e := range s.sorted() {
		rows = append(rows, Count{Name: cmp.Or(e.key, "none"), Queries: e.count, Over: e.over})
	}
	return rows
}

func uses(s *sketch[volume], most int) []Use {
	names := meaningNames()
	var rows []Use
	for _, e := range top(s.sorted(), most) {
		row := Use{Name: e.key, Queries: e.count, Over: e.over, Failed: e.payload.failed, Verdicts: map[string]uint64{}}
		for index, count := range e.payload.meanings {
			if count > 0 {
				row.Verdicts[names[index]] = count
			}
		}
		rows = append(rows, row)
	}
	return rows
}

const second = 1e6

func latencyOf(h *histogram) Latency {
	return Latency{
		P50: float64(h.quantile(0.5)) / second, P95: float64(h.quantile(0.95)) / second,
		P99: float64(h.quantile(0.99)) / second, Max: float64(h.max) / second,
	}
}

func (b *builder) directClients() []DirectClient {
	byClient := map[string]*DirectClient{}
	for _, e := range b.tally.direct.sorted() {
		parts := partsOf(e.key)
		client := byClient[parts[0]]
		if client == nil {
			client = &DirectClient{Client: parts[0]}
			byClient[parts[0]] = client
		}
		client.Queries, client.Over, client.Count = client.Queries+e.count, client.Over+e.over, client.Count+1
		if len(client.Names) < maxNested {
			name := DirectName{Name: bare(parts[1]), Use: b.publicName(parts[1], e.payload.advice), Action: e.payload.action, Queries: e.count, Over: e.over}
			client.Names = append(client.Names, name)
		}
	}
	var rows []DirectClient
	for _, client := range byClient {
		rows = append(rows, *client)
	}
	slices.SortFunc(rows, func(a, c DirectClient) int {
		return cmp.Or(cmp.Compare(c.Queries, a.Queries), cmp.Compare(a.Client, c.Client))
	})
	return top(rows, b.options.Top)
}

// publicName asks the catalog of today, and then what the client was told.
func (b *builder) publicName(name, told string) string {
	if b.options.PublicName != nil {
		if public, known := b.options.PublicName(name); known {
			return bare(public)
		}
	}
	return told
}

// bare is a name without its final dot, as people write it.
func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

func (b *builder) zones() []ZoneFault {
	names := map[string][]Count{}
	for _, e := range b.tally.faultNames.sorted() {
		parts := partsOf(e.key)
		zone := strings.Join(parts[:4], string(rune(separator)))
		if len(names[zone]) < maxNested {
			names[zone] = append(names[zone], Count{Name: bare(parts[4]), Queries: e.count, Over: e.over})
		}
	}
	var rows []ZoneFault
	for _, e := range top(b.tally.faults.sorted(), b.options.Top) {
		parts := partsOf(e.key)
		row := ZoneFault{Verdict: parts[0], Zone: bare(parts[1]), Group: parts[2], Site: parts[3], Queries: e.count, Over: e.over, Names: names[e.key]}
		row.Advice = row.advice()
		rows = append(rows, row)
	}
	return rows
}

func (b *builder) withheldNames() []Withheld {
	rows := map[[2]string]*Withheld{}
	for _, e := range b.tally.withheld.entries {
		parts := partsOf(e.key)
		key := [2]string{parts[0], parts[2]}
		if rows[key] == nil {
			rows[key] = &Withheld{Name: bare(parts[0]), Rule: parts[2]}
		}
		row := rows[key]
		row.Queries, row.Over, row.Clients = row.Queries+e.count, row.Over+e.over, row.Clients+1
	}
	var sorted []Withheld
	for _, row := range rows {
		sorted = append(sorted, *row)
	}
	slices.SortFunc(sorted, func(a, c Withheld) int {
		return cmp.Or(cmp.Compare(c.Queries, a.Queries), cmp.Compare(a.Name, c.Name), cmp.Compare(a.Rule, c.Rule))
	})
	return top(sorted, b.options.Top)
}

// withheldInside counts the answers that were kept back because a group of public
// resolvers gave a private address.
func (b *builder) withheldInside() (count uint64) {
	for _, e := range b.tally.withheld.entries {
		if partsOf(e.key)[2] == "private-from-public" {
			count += e.count
		}
	}
	return min(count, b.tally.withheld.total)
}

func (b *builder) slow() []SlowName {
	var rows []SlowName
	for _, e := range top(b.tally.slow.sorted(), b.options.Top) {
		rows = append(rows, SlowName{
			Name: bare(e.key), Queries: e.payload.count, WaitedSeconds: float64(e.count) / second, OverSeconds: float64(e.over) / second,
			Latency: latencyOf(&e.payload),
		})
	}
	return rows
}

func (b *builder) upstreams() []Upstream {
	failures := map[string][]Count{}
	for _, e := range b.tally.failures.sorted() {
		parts := partsOf(e.key)
		key := parts[0] + string(rune(separator)) + parts[1]
		if len(failures[key]) < maxNested {
			failures[key] = append(failures[key], Count{Name: parts[2], Queries: e.count, Over: e.over})
		}
	}
	var rows []Upstream
	for _, e := range top(b.tally.upstreams.sorted(), b.options.Top) {
		parts := partsOf(e.key)
		rows = append(rows, Upstream{
			Server: parts[0], Group: parts[1], Questions: e.count, Servfail: e.payload.bad, Failed: e.payload.failed,
			Failures: failures[e.key], Latency: latencyOf(&e.payload.roundTrips),
		})
	}
	return rows
}

func (b *builder) fallbackNames() []Fallback {
	var rows []Fallback
	for _, e := range top(b.tally.fallbacks.sorted(), b.options.Top) {
		parts := partsOf(e.key)
		rows = append(rows, Fallback{Kind: parts[0], Group: parts[1], Name: bare(parts[2]), Queries: e.count, Over: e.over})
	}
	return rows
}
