package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	// suspicion is how long a server may have been silent, with a question pending,
	// before it is probed.
	suspicion = patience
	// evidence is the number of queries that need not wait for so long: where as many in
	// a row have each waited three times as long as 95 of 100 replies take, and
	// leastSilence, something is wrong with more than a name. Of a server that was never
	// heard it is unknownSilence.
	evidence                     = 5
	leastSilence, unknownSilence = 100 * time.Millisecond, 300 * time.Millisecond
)

// Health is what is known of a server at one moment.
type Health struct {
	// Down says that the server was silent or unreachable for clients' questions and
	// then for a probe, over every transport, and has not replied since. A server that
	// replies anything at all is not down.
	Down bool
	// Since is when Down became what it is. It is zero for a server that was never down.
	Since time.Time
	// Returned is when a reply last ended a suspicion, be it that the server was down or
	// was suspected only: what was asked before may have failed because of the server, and
	// is worth asking again. It is zero for a server that was never suspected.
	Returned time.Time
	// Suspected says that the server is silent and being probed: for 800 ms, or, where
	// five queries in a row are without a reply, for three times P95 and 100 ms at least;
	// or that Suspect was called. A server that is down is suspected, too.
	Suspected bool
	// RTT is the smoothed round trip, Variance its mean deviation (RFC 6298 section 2).
	// Both are 0 before the first reply.
	RTT, Variance time.Duration
	// P95 is the time within which 95 of 100 replies came lately, 0 before the first.
	P95 time.Duration
}

// health tells a silent server from a healthy one: a value without a clock or lock.
type health struct {
	trips roundTrips
	// silent is the number of queries sent since the last reply, silentSince when the
	// first of them was sent, and evident when enough of them had been sent.
	silent               int
	silentSince, evident time.Time
	suspected            bool
	down                 bool
	since                time.Time
	returned             time.Time // when a reply has last ended a suspicion
	// cleared is when a probe's reply has last ended a suspicion.
	cleared time.Time
}

// sent takes in that a query leaves. Like the others it reports whether the server
// is to be probed from now on.
func (h *health) sent(now time.Time) (probe bool) {
	h.silent++
	if h.silent == 1 {
		h.silentSince = now
	}
	if h.silent == evidence {
		h.evident = now
	}
	return h.suspectSilence(now)
}

// replied takes in a reply, which ends every suspicion. It reports whether the server
// was down.
func (h *health) replied(now time.Time) (returned bool) {
	returned = h.down
	if returned {
		h.since = now
	}
	if h.suspected {
		h.returned = now
	}
	h.silent = 0
	h.suspected, h.down = false, false
	return returned
}

// failed takes in the error that a query ended with.
func (h *health) failed(err error, elapsed time.Duration, now time.Time) (probe bool) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return h.unanswered(now, elapsed)
	case errors.Is(err, errHungUp):
		return false // it is there
	case unreachable(err):
		return h.suspect()
	default:
		return false
	}
}

// unanswered takes in that nobody waits for a reply any more.
func (h *health) unanswered(now time.Time, elapsed time.Duration) (probe bool) {
	h.trips.addAtLeast(elapsed, now)
	return h.suspectSilence(now)
}

func (h *health) suspectSilence(now time.Time) bool {
	if h.silent == 0 || now.Before(h.suspectAt()) {
		return false
	}
	return h.suspect()
}

// suspectAt returns when the silence that lasts will have been too long. Where a probe
// has been answered lately, it is the names that are broken: not each few of them are
// worth another probe.
func (h *health) suspectAt() time.Time {
	at := h.silentSince.Add(suspicion)
	if h.silent < evidence || h.evident.Sub(h.cleared) < suspicion {
		return at
	}
	bound := unknownSilence
	if p95 := h.trips.p95(); p95 > 0 {
		bound = min(max(3*p95, leastSilence), suspicion)
	}
	if early := h.evident.Add(bound); early.Before(at) {
		return early
	}
	return at
}

// suspect takes in a reason to think that the server is not there.
func (h *health) suspect() (probe bool) {
	probe = !h.suspected
	h.suspected = true
	return probe
}

// confirm takes in that a probe remained without a reply over every transport. It
// reports whether the server is newly down: not where a reply has come meanwhile.
func (h *health) confirm(now time.Time) bool {
	if !h.suspected || h.down {
		return false
	}
	h.down, h.since = true, now
	return true
}

func (h *health) report() Health {
	return Health{
		Down: h.down, Since: h.since, Returned: h.returned, Suspected: h.suspected,
		RTT: h.trips.smoothed, Variance: h.trips.variance, P95: h.trips.p95(),
	}
}

// unreachable reports whether an error says that no server can be heard at the
// address. Errors of our own host, such as too many open files, do not say so.
func unreachable(err error) bool {
	for _, reason := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.ENETDOWN, io.EOF, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
