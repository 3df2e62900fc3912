// Package differential asks two of our servers the same questions and compares
// all that they do: one answers UDP from sockets of its own (the fast path), the
// other leaves them to CoreDNS's server (`fastpath off`). Who asks must not be
// able to tell which, and neither must who reads the metrics and the query log.
//
// What may differ is a table, with the reason, in which each entry says what the
// fast path owes. The questions are made at random from a seed, of every kind;
// the upstream is scripted: what it says depends on the question only.
//
// It sees our program as processes, through Corefiles, packets, metrics and logs,
// and uses loopback only. It must not import the packages that make it up.
//
// Environment, all optional:
//
//	DIFFERENTIAL=full    100,000 questions in place of 10,000
//	DIFFERENTIAL_SEED=N  other questions than usual
package differential
