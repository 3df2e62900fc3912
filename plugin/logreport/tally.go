package logreport

import (
	"bytes"
	"strings"
)

// The capacities of the sketches: exact up to these many keys.
const (
	fewKeys  = 256  // what a configuration or the protocol names
	manyKeys = 4096 // what clients choose
	slowKeys = 2048 // the same, with a histogram each
)

// maxKeyPart bounds a text in a key: a name has 253 characters, unless they are escaped.
const maxKeyPart = 256

// separator stands between the parts of a key; no text has it (see printable).
const separator = 0

// volume is how often something was asked, and with what result.
type volume struct {
	failed   uint64
	meanings [meanings]uint64
}

func (v *volume) add(r *record) {
	count := uint64(r.sample)
	v.meanings[r.meaning()] += count
	if r.failed() {
		v.failed += count
	}
}

func (v *volume) merge(o *volume) {
	v.failed += o.failed
	for index, count := range o.meanings {
		v.meanings[index] += count
	}
}

// tally is what one worker counts.
type tally struct {
	selection selection
	scanner   *scanner
	record    record
	key       []byte

	mistakes                       mistakes
	lines, queries, passed, sparse uint64
	// partners are unlinked answers from public DNS, asked because a linked zone has no
	// record: somebody else's resource, and no fault of a zone.
	partners    uint64
	first, last int64 // microseconds; first is 0 before any line
	latency     histogram
	timeline    *timeline

	rcodes, caches, types, verdicts *sketch[nothing]
	clients, namespaces             *sketch[volume]
	direct                          *sketch[directUse]
	faults                          *sketch[nothing] // verdict, zone, group, site
	faultNames                      *sketch[nothing] // the same, and the name
	withheld                        *sketch[nothing] // name, client, rule
	slow                            *sketch[histogram]
	upstreams                       *sketch[exchanges]
	failures                        *sketch[nothing] // upstream, what it said
	fallbacks                       *sketch[nothing] // fallback, group, name
	overrides                       *sketch[nothing] // name
	uncatalogued                    *sketch[nothing] // name
}

// directUse is what is remembered of direct lookups of a name by a client.
type directUse struct {
	action string
	advice string
}

func newTally(selected selection) *tally {
	few := func() *sketch[nothing] { return newSketch(fewKeys, joinNothing) }
	many := func() *sketch[nothing] { return newSketch(manyKeys, joinNothing) }
	return &tally{
		selection: selected, scanner: newScanner(), timeline: newTimeline(),
		rcodes: few(), caches: few(), types: few(), verdicts: few(),
		clients: newSketch(manyKeys, (*volume).merge), namespaces: newSketch(manyKeys, (*volume).merge),
		direct: newSketch(manyKeys, func(into, from *directUse) {}),
		faults: many(), faultNames: many(), withheld: many(),
		slow:      newSketch(slowKeys, (*histogram).merge),
		upstreams: newSketch(fewKeys, (*exchanges).merge), failures: newSketch(4*fewKeys, joinNothing),
		fallbacks: many(), overrides: many(), uncatalogued: many(),
	}
}

// merge adds what another worker counted, which must not be used any more.
func (t *tally) merge(o *tally) {
	t.mistakes.merge(&o.mistakes)
	t.partners += o.partners
	t.lines, t.queries, t.passed, t.sparse = t.lines+o.lines, t.queries+o.queries, t.passed+o.passed, t.sparse+o.sparse
	if o.first != 0 {
		t.extend(o.first)
		t.extend(o.last)
	}
	t.latency.merge(&o.latency)
	t.timeline.merge(o.timeline)
	for _, pair := range [...][2]*sketch[nothing]{
		{t.rcodes, o.rcodes}, {t.caches, o.caches}, {t.types, o.types}, {t.verdicts, o.verdicts}, {t.faults, o.faults}, {t.faultNames, o.faultNames},
		{t.withheld, o.withheld}, {t.failures, o.failures}, {t.fallbacks, o.fallbacks}, {t.overrides, o.overrides}, {t.uncatalogued, o.uncatalogued},
	} {
		pair[0].merge(pair[1])
	}
	t.clients.merge(o.clients)
	t.namespaces.merge(o.namespaces)
	t.direct.merge(o.direct)
	t.slow.merge(o.slow)
	t.upstreams.merge(o.upstreams)
}

func (t *tally) extend(microseconds int64) {
	if t.first == 0 || microseconds < t.first {
		t.first = microseconds
	}
	t.last = max(t.last, microseconds)
}

func (t *tally) addLine(line []byte) error {
	r := &t.record
	if err := t.scanner.read(line, r); err != nil {
		return err
	}
	if !t.selection.inTime(r) {
		t.passed++
		return nil
	}
	t.timeline.at(r.time).lines++
	if !t.selection.takes(r) {
		t.passed++
		return nil
	}
	t.add(r)
	return nil
}

// add counts a record.
func (t *tally) add(r *record) {
	count := uint64(r.sample)
	t.lines++
	t.queries += count
	if count > 1 {
		t.sparse++
	}
	t.extend(r.time)
	t.latency.add(r.duration, count)
	b := t.timeline.at(r.time)
	b.queries += count
	b.meanings[r.meaning()] += count
	if r.failed() {
		b.failed += count
	}
	t.count(t.rcodes, count, r.text[rcode])
	t.count(t.types, count, r.text[qtype])
	t.count(t.caches, count, r.text[cacheField])
	t.count(t.verdicts, count, r.text[verdictField])
	t.clients.add(t.keyOf(r.client()), count).add(r)
	if namespace := r.text[namespaceField]; len(namespace) > 0 {
		t.namespaces.add(t.keyOf(namespace), count).add(r)
	}
	t.slow.add(t.keyOf(r.text[qname]), uint64(r.duration)*count).add(r.duration, count)
	t.addPolicy(r, count)
	t.addFault(r, count)
	t.addUpstream(r, count)
}

// count counts a key of several parts.
func (t *tally) count(s *sketch[nothing], count uint64, parts ...[]byte) {
	s.add(t.keyOf(parts...), count)
}

// keyOf puts a key together, in memory that the next key uses again.
func (t *tally) keyOf(parts ...[]byte) []byte {
	t.key = t.key[:0]
	for index, part := range parts {
		if index > 0 {
			t.key = append(t.key, separator)
		}
		t.key = append(t.key, part[:min(len(part), maxKeyPart)]...)
	}
	return t.key
}

// partsOf is the reverse of keyOf.
func partsOf(key string) []string { return strings.Split(key, string(rune(separator))) }

// addPolicy counts what policy and operators did.
func (t *tally) addPolicy(r *record, count uint64) {
	switch string(r.text[policyRule]) {
	case "direct-lookup", "direct-while-starting", "direct-memory-overflow":
		use := t.direct.add(t.keyOf(r.client(), r.text[qname]), count)
		if string(r.text[policyAction]) != use.action {
			use.action = string(r.text[policyAction])
		}
		if use.advice == "" {
			use.advice = publicNameIn(r.text[edeText])
		}
	case "override":
		t.count(t.overrides, count, r.text[qname])
	}
	if string(r.text[policyAction]) == "withhold" {
		t.count(t.withheld, count, r.text[qname], r.client(), r.text[policyRule])
	}
}

// publicNameIn is the name that the log says the client was told to ask for.
func publicNameIn(text []byte) string {
	_, advice, _ := bytes.Cut(text, []byte("; ask for "))
	return string(advice[:min(len(advice), maxKeyPart)])
}

// addFault counts what is wrong with zones and their names.
func (t *tally) addFault(r *record, count uint64) {
	switch meant := r.meaning(); {
	case meant == unlinked && len(r.text[fallback]) > 0:
		t.partners += count
	case meant == unlinked || meant == missing:
		t.count(t.faults, count, r.text[verdictField], r.text[privatelinkZone], r.text[group], r.text[site])
		t.count(t.faultNames, count, r.text[verdictField], r.text[privatelinkZone], r.text[group], r.text[site], r.text[qname])
	}
	if len(r.text[uncatalogued]) > 0 {
		t.count(t.uncatalogued, count, r.text[uncatalogued])
	}
	if len(r.text[fallback]) > 0 {
		t.count(t.fallbacks, count, r.text[fallback], r.text[group], r.text[qname])
	}
}

// failed reports whether the client was told a failure of ours or an upstream's.
func (r *record) failed() bool { return string(r.text[rcode]) == "SERVFAIL" }

// client is who asked, as exactly as the log says.
func (r *record) client() []byte {
	for _, field := range [...]textField{realClient, realClientHash, clientIP, clientHash} {
		if len(r.text[field]) > 0 {
			return r.text[field]
		}
	}
	return []byte("(hidden)")
}
