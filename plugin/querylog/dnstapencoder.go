package querylog

import (
	"encoding/binary"
	"net/netip"
	"time"

	tap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

// frameHead is the length of a frame's length.
const frameHead = 4

// dnstapEncoder makes frames of records. It keeps what the library's messages
// point to, so that none of it is allocated for each record.
type dnstapEncoder struct {
	messages, extra bool

	payload tap.Dnstap
	message tap.Message

	payloadType           tap.Dnstap_Type
	messageType           tap.Message_Type
	family                tap.SocketFamily
	protocol              tap.SocketProtocol
	query, response       moment
	queryEnd, responseEnd endpoint
	line, scrubbed        []byte
}

// moment is a time as dnstap has it.
type moment struct {
	second     uint64
	nanosecond uint32
}

func (m *moment) set(t time.Time) {
	m.second, m.nanosecond = uint64(max(t.Unix(), 0)), uint32(t.Nanosecond())
}

// endpoint is an address and a port as dnstap has them.
type endpoint struct {
	address [16]byte
	port    uint32
}

// set keeps an endpoint and returns its address in dnstap's form.
func (e *endpoint) set(address netip.Addr, port uint16) []byte {
	e.port = uint32(port)
	if address.Is4() {
		octets := address.As4()
		return e.address[:copy(e.address[:], octets[:])]
	}
	e.address = address.As16()
	return e.address[:]
}

// append is the encoder. Nothing of the record is kept: what points to it is
// cleared at the end.
func (e *dnstapEncoder) append(buffer []byte, r *Record, v view) []byte {
	buffer = e.appendClient(buffer, r, v, tap.Message_CLIENT_QUERY)
	for index := range r.Exchanges {
		exchange := &r.Exchanges[index]
		buffer = e.appendForwarder(buffer, exchange, tap.Message_FORWARDER_QUERY)
		if exchange.Reply != nil {
			buffer = e.appendForwarder(buffer, exchange, tap.Message_FORWARDER_RESPONSE)
		}
	}
	buffer = e.appendClient(buffer, r, v, tap.Message_CLIENT_RESPONSE)
	e.message.QueryMessage, e.message.ResponseMessage = nil, nil
	return buffer
}

// appendClient writes what was between the client and us.
func (e *dnstapEncoder) appendClient(buffer []byte, r *Record, v view, kind tap.Message_Type) []byte {
	e.begin(kind, r.Transport)
	e.setServer(r.Server)
	e.setClient(r.Client, v.privacy)
	e.setQueryTime(r.Time)
	if kind == tap.Message_CLIENT_RESPONSE {
		e.setResponseTime(r.Time.Add(r.Duration))
	}
	if e.messages {
		if kind == tap.Message_CLIENT_QUERY {
			e.message.QueryMessage = e.shown(r.Query, v.privacy)
		} else {
			e.message.ResponseMessage = e.shown(r.Reply, v.privacy)
		}
	}
	if e.extra && kind == tap.Message_CLIENT_RESPONSE {
		e.line = appendJSON(e.line[:0], r, v)
		e.payload.Extra = e.line[:len(e.line)-1]
	}
	return e.appendFrame(buffer)
}

// appendForwarder writes what was between us and an upstream: as in CoreDNS,
// the response's end is the upstream's. There is nothing of the client in it.
func (e *dnstapEncoder) appendForwarder(buffer []byte, exchange *Exchange, kind tap.Message_Type) []byte {
	e.begin(kind, exchange.Transport)
	e.setServer(exchange.Server)
	e.setQueryTime(exchange.Sent)
	if kind == tap.Message_FORWARDER_RESPONSE {
		e.setResponseTime(exchange.Received)
	}
	if e.messages {
		if kind == tap.Message_FORWARDER_QUERY {
			e.message.QueryMessage = exchange.Query
		} else {
			e.message.ResponseMessage = exchange.Reply
		}
	}
	return e.appendFrame(buffer)
}

// begin clears what the frame before had.
func (e *dnstapEncoder) begin(kind tap.Message_Type, transport string) {
	e.payloadType, e.messageType = tap.Dnstap_MESSAGE, kind
	e.payload.Type, e.payload.Message, e.payload.Extra = &e.payloadType, &e.message, nil
	m := &e.message
	m.Type, m.SocketFamily, m.SocketProtocol = &e.messageType, nil, nil
	m.QueryAddress, m.QueryPort, m.ResponseAddress, m.ResponsePort = nil, nil, nil, nil
	m.QueryTimeSec, m.QueryTimeNsec, m.ResponseTimeSec, m.ResponseTimeNsec = nil, nil, nil, nil
	m.QueryMessage, m.ResponseMessage = nil, nil
	if protocol, known := protocols[transport]; known {
		e.protocol = protocol
		m.SocketProtocol = &e.protocol
	}
}

func (e *dnstapEncoder) setQueryTime(t time.Time) {
	e.query.set(t)
	e.message.QueryTimeSec, e.message.QueryTimeNsec = &e.query.second, &e.query.nanosecond
}

func (e *dnstapEncoder) setResponseTime(t time.Time) {
	e.response.set(t)
	e.message.ResponseTimeSec, e.message.ResponseTimeNsec = &e.response.second, &e.response.nanosecond
}

func (e *dnstapEncoder) setFamily(address netip.Addr) {
	e.family = familyOf(address)
	e.message.SocketFamily = &e.family
}

// setServer sets the end that answers.
func (e *dnstapEncoder) setServer(server netip.AddrPort) {
	if !server.IsValid() {
		return
	}
	address := server.Addr().Unmap()
	e.setFamily(address)
	e.message.ResponseAddress = e.responseEnd.set(address, server.Port())
	e.message.ResponsePort = &e.responseEnd.port
}

// setClient sets the end that asks, as far as it may be seen. A hash is no address.
func (e *dnstapEncoder) setClient(client netip.AddrPort, p *privacy) {
	address := client.Addr().Unmap()
	if !address.IsValid() {
		return
	}
	e.setFamily(address)
	switch p.mode {
	case ClientHashed, ClientHidden:
		return
	case ClientTruncated:
		address = truncated(address)
	}
	e.message.QueryAddress = e.queryEnd.set(address, client.Port())
	e.message.QueryPort = &e.queryEnd.port
}

// shown returns a message of the client as far as it may be seen: EDNS options
// can say who the client is, so where it is not shown they are cut off.
func (e *dnstapEncoder) shown(message []byte, p *privacy) []byte {
	if p.mode == ClientShown || len(message) == 0 {
		return message
	}
	e.scrubbed = appendWithoutOptions(e.scrubbed[:0], message)
	return e.scrubbed
}

// appendFrame writes the payload as a frame of data.
func (e *dnstapEncoder) appendFrame(buffer []byte) []byte {
	start := len(buffer)
	buffer = append(buffer, 0, 0, 0, 0)
	longer, err := proto.MarshalOptions{}.MarshalAppend(buffer, &e.payload)
	if err != nil {
		return buffer[:start] // only a message without its type fails
	}
	binary.BigEndian.PutUint32(longer[start:], uint32(len(longer)-start-frameHead))
	return longer
}
