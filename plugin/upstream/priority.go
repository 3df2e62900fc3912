package upstream

import "context"

// priority is the order in which queries are sent when not all can be at once.
type priority int

const (
	// probe comes before all others, and may use the slots that are kept back for it: a
	// server that is silent while everybody asks it could not be probed otherwise, and
	// what cannot be probed is never found to be down. There are a few a second at most.
	probe      priority = iota
	client              // somebody waits for the answer
	low                 // an answer that nobody waits for yet
	priorities          // how many there are
)

type lowPriority struct{}

// LowPriority returns a context whose questions pay from a server's budget only what
// clients' questions leave: those of prefetch, warm-up and the like. They wait behind
// every client's question, use neither the last quarter of a burst nor that of the
// outstanding queries, and otherwise are asked as usual.
func LowPriority(ctx context.Context) context.Context { return LowPriorityUntil(ctx, nil) }

// LowPriorityUntil is LowPriority until urgent is closed, because somebody waits for the
// answer now. From then on they are clients' questions, those too that wait already: they
// stand behind the clients' that wait in that moment.
func LowPriorityUntil(ctx context.Context, urgent <-chan struct{}) context.Context {
	return context.WithValue(ctx, lowPriority{}, urgent)
}

// priorityOf returns the priority of a query at this moment, and for a low one what is
// closed when it is a client's; nil if that never happens.
func priorityOf(ctx context.Context, q *query) (now priority, urgent <-chan struct{}) {
	if q.probe {
		return probe, nil
	}
	urgent, isLow := ctx.Value(lowPriority{}).(<-chan struct{})
	if !isLow {
		return client, nil
	}
	select {
	case <-urgent:
		return client, nil
	default:
		return low, urgent
	}
}
