package logreport

import (
	"bytes"
	"net/netip"
)

// exchanges is what is counted of one upstream server.
type exchanges struct {
	// roundTrips are those of its answers.
	roundTrips histogram
	// bad are answers by which the client was told SERVFAIL, failed the
	// questions that it did not answer well.
	bad, failed uint64
}

func (e *exchanges) merge(o *exchanges) {
	e.roundTrips.merge(&o.roundTrips)
	e.bad, e.failed = e.bad+o.bad, e.failed+o.failed
}

// addUpstream counts a question upstream. Those who shared its answer, or its
// failure, asked nothing.
func (t *tally) addUpstream(r *record, count uint64) {
	if string(r.text[cacheField]) == "shared" {
		return
	}
	if server := r.text[upstream]; len(server) > 0 {
		asked := t.upstreams.add(t.keyOf(server, r.text[group]), count)
		asked.roundTrips.add(r.upstreamDuration, count)
		if r.failed() {
			asked.bad += count
		}
	}
	if len(r.text[errorField]) > 0 {
		t.addFailures(r, count)
	}
}

// addFailures counts the attempts that an error lists, one group a line, whose
// end is escaped by now:
//
//	group "azure": 168.63.129.16:53/udp no reply; 10.0.0.5:53/tcp REFUSED
func (t *tally) addFailures(r *record, count uint64) {
	asked := r.text[group]
	for said := range bytes.SplitSeq(r.text[errorField], []byte(`\n`)) {
		if before, after, found := bytes.Cut(said, []byte(`": `)); found {
			said = after
			asked = before[bytes.LastIndexByte(before, '"')+1:]
		}
		for attempt := range bytes.SplitSeq(said, []byte("; ")) {
			t.addAttempt(attempt, asked, count)
		}
	}
}

func (t *tally) addAttempt(attempt, asked []byte, count uint64) {
	address, said, _ := bytes.Cut(attempt, []byte{' '})
	server, _, hasTransport := bytes.Cut(address, []byte{'/'})
	if _, err := netip.ParseAddrPort(string(server)); !hasTransport || err != nil {
		return // the error is about something else
	}
	if _, after, isSocket := bytes.Cut(said, []byte("->")); isSocket {
		// "read udp 10.1.0.4:41981->10.0.0.5:53: read: connection refused": each has a
		// port of its own.
		if _, why, found := bytes.Cut(after, []byte(": ")); found {
			said = why
		}
	}
	t.upstreams.add(t.keyOf(server, asked), count).failed += count
	t.count(t.failures, count, server, asked, said)
}
