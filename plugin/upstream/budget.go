package upstream

import "time"

// Budget is what a server may be sent. It is counted by server address, whoever
// asks: every query that leaves counts, be it a repetition, over TCP, without EDNS
// or a probe.
//
// What is sent stays safely below the limits, because the server counts arrivals and
// the network moves them together: 95% of PerSecond as a steady rate and 2% at once, so
// that no second has more than 97% of PerSecond; no 1.04 seconds whatever have more
// than PerSecond, by the times at which queries really leave, also where this machine
// is so busy that many leave late and together; and 95% of Outstanding.
type Budget struct {
	// PerSecond is the number of queries that the server takes in any second. 0 means
	// that there is no limit.
	PerSecond int
	// Outstanding is the number of queries that the server works on at once. 0 means
	// that there is no limit.
	Outstanding int
}

// Azure is the budget of 168.63.129.16 for each virtual machine: 1,000 queries a
// second, 200 outstanding, the rest is dropped in silence
// (https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#azure-dns-limits).
func Azure() Budget { return Budget{PerSecond: 1000, Outstanding: 200} }

// Resolver is the budget of one endpoint of an Azure DNS Private Resolver: 10,000
// queries a second. It is shared by all who ask that endpoint, which we cannot see.
func Resolver() Budget { return Budget{PerSecond: 10000} }

// rate returns the steady number of queries a second, 0 for no limit.
func (b Budget) rate() float64 { return 0.95 * float64(b.PerSecond) }

// burst returns how many queries may leave at once. With the rate, the most that any
// second can hold is rate+burst rounded down, which is never above PerSecond.
func (b Budget) burst() float64 { return max(1, 0.02*float64(b.PerSecond)) }

// slots returns how many queries may be outstanding, 0 for no limit.
func (b Budget) slots() int {
	if b.Outstanding == 0 {
		return 0
	}
	return max(1, b.Outstanding*95/100)
}

// bucket is a token bucket: a value without a clock, whose times must not go back.
type bucket struct {
	rate   float64 // tokens a second; 0 for no limit
	burst  float64 // tokens that can be saved up
	tokens float64
	at     time.Time // when tokens was true
}

// fill adds what has come in since the last time.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed.Seconds()*b.rate)
		b.at = now
	}
}

// has reports whether a token can be taken that leaves so many behind.
func (b *bucket) has(behind float64) bool {
	// Sums of fractions fall short of 1 by a little; such a token is a whole one.
	const whole = 1 - 1e-6
	return b.rate == 0 || b.tokens >= whole+behind
}

// take takes a token that has reported.
func (b *bucket) take() {
	if b.rate > 0 {
		b.tokens--
	}
}

// refund takes a token back that was not used.
func (b *bucket) refund() { b.tokens = min(b.burst, b.tokens+1) }

// until returns how long it takes until the bucket has that many tokens.
func (b *bucket) until(tokens float64) time.Duration {
	if b.rate == 0 || b.tokens >= tokens {
		return 0
	}
	return time.Duration((tokens - b.tokens) / b.rate * float64(time.Second))
}
