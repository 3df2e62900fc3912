//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
)

// upstreamRole is the argument that makes this program the upstream.
const upstreamRole = "serve-upstream"

// timeToLive is that of all records: longer than a run, and no longer than what
// the servers keep at most.
const timeToLive = 3600

const (
	headerLength = 12
	typeA        = 1
	typeCNAME    = 5
	typeTXT      = 16
	typeOPT      = 41
	classINET    = 1
)

// countName is the name whose TXT record is how many A questions there were.
const countName = "count.bench.invalid"

// upstream answers every question for an address with a chain of a CNAME and an
// A record, and the name at its end with the A record alone. It is as quick as
// we can make it, because it shares its processor with the load.
type upstream struct {
	count uint64
}

// serveUpstream answers until it is told to stop.
func serveUpstream() error { return serveBatches(new(upstream)) }

// serveBatches runs a worker on a free port, which it prints.
func serveBatches(worker batch.Worker) error {
	group, err := batch.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 1)
	if err != nil {
		return err
	}
	defer func() { _ = group.Close() }()
	group.Serve(func(int) batch.Worker { return worker })
	fmt.Println(group.Addr())
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
	<-stops
	return nil
}

// Flush implements batch.Worker.
func (u *upstream) Flush() {}

// Answer implements batch.Worker.
func (u *upstream) Answer(query []byte, _ batch.Peer, reply []byte) []byte {
	end, kind := questionOf(query)
	if end == 0 {
		return nil
	}
	reply = append(reply, query[:end]...)
	reply[2], reply[3] = 0x80|query[2]&0x01, 0x80 // QR, RD as asked, RA
	clear(reply[6:headerLength])
	switch {
	case kind == typeA:
		u.count++
		reply = appendAddress(reply, query[headerLength:end])
	case kind == typeTXT && isCount(query[headerLength:end]):
		text := strconv.FormatUint(u.count, 10)
		reply = appendRecord(reply, headerLength, typeTXT, 1+len(text))
		reply = append(append(reply, byte(len(text))), text...)
		reply[7]++
	}
	if query[11] > 0 { // the additional section of a query is its OPT record
		reply = append(reply, 0, 0, typeOPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0)
		reply[11] = 1
	}
	return reply
}

// questionOf returns where the only question of a query ends and its type; 0
// for what is no such query, and for the root.
func questionOf(query []byte) (end int, kind uint16) {
	if len(query) < headerLength+5 || query[2]&0x80 != 0 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return 0, 0
	}
	at := headerLength
	for at < len(query) && query[at] > 0 {
		if query[at] > 63 {
			return 0, 0
		}
		at += 1 + int(query[at])
	}
	if at == headerLength || at+5 > len(query) {
		return 0, 0
	}
	return at + 5, binary.BigEndian.Uint16(query[at+1:])
}

// appendAddress appends the chain of a question and counts its records.
func appendAddress(reply, question []byte) []byte {
	owner := headerLength
	label := question[1 : 1+question[0]]
	if !isTarget(question) {
		reply[7]++
		link, rest := linkOf(question), headerLength+1+len(label)
		reply = appendRecord(reply, headerLength, typeCNAME, 1+len(label)+1+len(link)+2)
		owner = len(reply)
		reply = append(append(reply, byte(len(label))), label...)
		reply = append(append(reply, byte(len(link))), link...)
		reply = append(reply, 0xc0|byte(rest>>8), byte(rest))
	}
	reply[7]++
	address := addressOfLabel(label)
	return append(appendRecord(reply, owner, typeA, len(address)), address[:]...)
}

// The second label of a chain's end: names that are in no namespace of the
// catalog lead to one that has nothing to do with private endpoints.
const (
	catalogued   = "privatelink"
	uncatalogued = "target"
)

// linkOf is the second label of the end of a question's chain.
func linkOf(question []byte) string {
	const suffix = "\x08database\x07windows\x03net\x00"
	name := question[:len(question)-4]
	if len(name) > len(suffix) && strings.EqualFold(string(name[len(name)-len(suffix):]), suffix) {
		return catalogued
	}
	return uncatalogued
}

// isTarget reports whether a question is for the end of a chain.
func isTarget(question []byte) bool {
	at := 1 + int(question[0])
	second := string(question[at+1 : at+1+int(question[at])])
	return strings.EqualFold(second, catalogued) || strings.EqualFold(second, uncatalogued)
}

// isCount reports whether a question is for the number of questions.
func isCount(question []byte) bool {
	var name []byte
	for at := 0; question[at] > 0; at += 1 + int(question[at]) {
		name = append(append(name, question[at+1:at+1+int(question[at])]...), '.')
	}
	return strings.EqualFold(string(name), countName+".")
}

// appendRecord appends a record up to its data; its owner stands earlier.
func appendRecord(reply []byte, owner, kind, length int) []byte {
	reply = append(reply, 0xc0|byte(owner>>8), byte(owner), 0, byte(kind), 0, classINET)
	reply = binary.BigEndian.AppendUint32(reply, timeToLive)
	return append(reply, 0, byte(length))
}

// addressOfLabel is addressOf in octets, without an allocation.
func addressOfLabel(label []byte) [4]byte {
	var lower [63]byte
	for i, c := range label {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	sum := uint32(2166136261) // FNV-1a
	for _, c := range lower[:len(label)] {
		sum = (sum ^ uint32(c)) * 16777619
	}
	return [4]byte{10, byte(sum >> 16), byte(sum >> 8), byte(sum)}
}
