package logreport

import (
	"fmt"
	"time"
)

// record is what a report needs of one line. The texts refer to the line or to
// what was decoded from it, and are valid until the next line is read.
type record struct {
	// time is in microseconds since 1970; hasTime tells that there is one.
	time    int64
	hasTime bool
	schema  int64
	// sample is for how many queries the line stands.
	sample int64
	// duration and upstreamDuration are in microseconds.
	duration, upstreamDuration int64
	direct, chase              bool
	text                       [textFields][]byte
}

// textField is a field of a line that is a text.
type textField uint8

const (
	clientIP textField = iota
	clientHash
	realClient
	realClientHash
	qname
	qtype
	rcode
	edeText
	verdictField
	namespaceField
	privatelinkZone
	uncatalogued
	policyRule
	policyAction
	cacheField
	group
	site
	upstream
	fallback
	errorField
	clientClass
	qclass
	// chain and answers are lists, with textBreak between their texts.
	chain
	answers

	textFields
)

// The times that a line may have. What lies outside comes from a clock that
// was never set, and would stretch the report over centuries.
var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
)

// maxSample bounds what a single line can claim.
const maxSample = 1_000_000_000

// maxSeconds bounds a duration in the log, so that sums do not overflow.
const maxSeconds = 1_000_000

// check says why what was read is no record of a query.
func (r *record) check() error {
	switch {
	case r.schema != schema:
		return fmt.Errorf("found schema %d, expected %d", r.schema, schema)
	case !r.hasTime:
		return fmt.Errorf("found no time, expected one such as 2026-03-01T12:00:00.250000Z")
	case r.time < earliest || r.time >= latest:
		return fmt.Errorf("found the time %s, expected one of this century or the next", time.UnixMicro(r.time).UTC().Format(time.RFC3339))
	case r.sample < 1 || r.sample > maxSample:
		return fmt.Errorf("found a sample of one in %d, expected 1 to %d", r.sample, maxSample)
	case !isDuration(r.duration) || !isDuration(r.upstreamDuration):
		return fmt.Errorf("found a duration that is negative or more than %d seconds", maxSeconds)
	}
	return nil
}

func isDuration(microseconds int64) bool {
	return microseconds >= 0 && microseconds <= maxSeconds*1_000_000
}
