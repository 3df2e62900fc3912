//go:build linux

package main

import (
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
)

// floorRole is the argument that makes this program the floor.
const floorRole = "serve-floor"

// floor does the least that a server with a cache has to do for an answer: it
// looks the question up in a map, copies the reply, and sets its ID. It knows
// only the names of the cached workload, asked in lower case.
type floor struct {
	replies map[string][]byte // by the question section and all after it
}

// serveFloor answers until it is told to stop.
func serveFloor() error {
	f := &floor{replies: map[string][]byte{}}
	answers := new(upstream)
	for n := range cachedNames {
		query, err := new(dns.Msg).SetQuestion(dns.Fqdn(publicName(n)), dns.TypeA).Pack()
		if err != nil {
			return err
		}
		f.replies[string(query[headerLength:])] = answers.Answer(query, batch.Peer{}, nil)
	}
	return serveBatches(f)
}

// Flush implements batch.Worker.
func (f *floor) Flush() {}

// Answer implements batch.Worker.
func (f *floor) Answer(query []byte, _ batch.Peer, reply []byte) []byte {
	if len(query) < headerLength {
		return nil
	}
	kept, known := f.replies[string(query[headerLength:])]
	if !known {
		return nil
	}
	reply = append(reply, kept...)
	reply[0], reply[1] = query[0], query[1]
	return reply
}
