package privatelink

import (
	"context"
	"net/netip"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// replayedChain is how long a client that asks again is held to have been given a
// chain: the usual TTL of the CNAME that leads into a privatelink zone.
const replayedChain = time.Minute

// Resolve answers a question by this configuration as the server does, and returns
// what its query log would say. A client that chases is held to have been given the
// chain that leads to the name. What the answer brings is kept for the next question,
// as the server keeps it. Server and Stanza of the request are not used. It is safe for
// concurrent use and takes 4 seconds at most; an error says that the request is no
// question.
func (o *Opened) Resolve(ctx context.Context, request ExplainRequest, chases bool) (*querylog.Record, error) {
	s := o.service
	q, err := request.query(s.now())
	if err != nil {
		return nil, err
	}
	if chases {
		s.policy.Chains.Remember(q.client.Addr(), q.name, replayedChain, q.arrived)
	}
	record := new(querylog.Record)
	s.resolve(ctx, q).fill(record, nil, s.now())
	return record, nil
}

// AppendPlace appends what of a client can change what this configuration answers: the
// sites that are its own, and its class where that decides. It allocates nothing that
// key has room for, and is safe for concurrent use.
func (o *Opened) AppendPlace(key []byte, client netip.Addr, direct bool) []byte {
	class := o.service.policy.Clients.ClassOf(client)
	if direct || class == policy.Denied {
		key = append(key, class.String()...)
	}
	return append(key, o.service.routes.viewOf(&query{client: netip.AddrPortFrom(client.Unmap(), 0)})...)
}
