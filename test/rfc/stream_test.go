//go:build linux

package rfc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/miekg/dns"
)

// codeKeepAlive is edns-tcp-keepalive.
const codeKeepAlive = dns.EDNS0TCPKEEPALIVE

// streamChecks are about clients over TCP.
var streamChecks = []check{
	{name: "several questions one after the other on a connection", rfc: "7766 6.2.1", level: must, both: true, run: onStream(func(s *session, stream *client) error {
		for range 5 {
			q := s.query("www", dns.TypeA)
			stream.write(framed(q.packet()))
			m, err := stream.message()
			if err != nil {
				return err
			}
			if err := judged(q, m, sameID, addressed); err != nil {
				return err
			}
		}
		return nil
	})},
	{name: "two questions in one segment are both answered", rfc: "7766 6.2.1.1", level: must, both: true, run: onStream(func(s *session, stream *client) error {
		return pipelined(s, stream, 2)
	})},
	{name: "fifty questions in one segment are all answered", rfc: "7766 6.2.1.1", level: must, run: onStream(func(s *session, stream *client) error {
		return pipelined(s, stream, 50)
	})},
	{name: "two questions with the same id on a connection are both answered", rfc: "7766 6.2.1", level: should, run: onStream(func(s *session, stream *client) error {
		return sameIDs(s, stream)
	})},
	{name: "a quick answer does not wait behind a slow one", rfc: "7766 6.2.1.1, 7", level: should, servers: 1, run: outOfOrder},
	{name: "a length in two pieces", rfc: "7766 8", level: must, both: true, run: inPieces(1)},
	{name: "a length and a message in two pieces", rfc: "7766 8", level: must, both: true, run: inPieces(2)},
	{name: "a message in two pieces", rfc: "7766 8", level: must, both: true, run: inPieces(20)},
	{name: "a message byte by byte", rfc: "7766 8", level: must, both: true, run: onStream(func(s *session, stream *client) error {
		q := s.query("www", dns.TypeA)
		for _, c := range framed(q.packet()) {
			_, _ = stream.Write([]byte{c})
		}
		m, err := stream.message()
		if err != nil {
			return err
		}
		return judged(q, m, addressed)
	})},
	{name: "length and message of a reply come in one segment", rfc: "7766 8", level: should, both: true, run: onStream(oneSegment)},
	{name: "a client that has finished sending gets its answer", rfc: "7766 6.2.4, 9293 3.6", level: should, run: onStream(halfClosed)},
	{name: "a connection stays open for seconds", rfc: "7766 6.2.3", level: should, slow: true, run: idle(3 * time.Second)},
	{name: "a connection without any question stays open for a second", rfc: "7766 6.2.3", level: should, slow: true, run: onStream(func(s *session, stream *client) error {
		pause(time.Second)
		return pipelined(s, stream, 1)
	})},
	{name: "a client that closes before its answer does no harm", rfc: "7766 6.2.4", level: must, run: onStream(func(s *session, stream *client) error {
		s.serve(later(mergeTime, ordinary))
		stream.write(framed(s.query("www", dns.TypeA).packet()))
		stream.close()
		pause(200 * time.Millisecond)
		return s.alive()
	})},
	{name: "thirty connections at once", rfc: "9210 4.2", level: must, run: manyConnections},
	{name: "a question after an empty message on the same connection", rfc: "7766 8", level: should, run: onStream(func(s *session, stream *client) error {
		stream.write([]byte{0, 0})
		return pipelined(s, stream, 1)
	})},
	{name: "a question after an error on the same connection", rfc: "7766 6.2.1", level: must, run: onStream(func(s *session, stream *client) error {
		stream.write(framed(s.query("www", dns.TypeAXFR).packet()))
		if _, err := stream.message(); err != nil {
			return err
		}
		return pipelined(s, stream, 1)
	})},
	{name: "edns-tcp-keepalive is answered over TCP with a timeout", rfc: "7828 3.3.2", level: should, both: true, run: asks(func(q *query) *query { return q.option(codeKeepAlive).overTCP() }, addressed, func(_ *query, m *message) error {
		data, found := m.option(codeKeepAlive)
		return expect(found && len(data) == 2, "got %x, %v, want two bytes", data, found)
	})},
	{name: "edns-tcp-keepalive with a timeout from a client is no question's end", rfc: "7828 3.2.1", level: must, both: true, run: asks(func(q *query) *query { return q.option(codeKeepAlive, 0, 100).overTCP() }, rcode(dns.RcodeSuccess, dns.RcodeFormatError))},
	{name: "edns-tcp-keepalive is ignored over UDP, and not sent", rfc: "7828 3.2.1", level: must, both: true, run: asks(func(q *query) *query { return q.option(codeKeepAlive) }, addressed, withoutOption(codeKeepAlive))},
	{name: "edns-tcp-keepalive is not sent over UDP to a client that has not offered it", rfc: "7828 3.2.1", level: must, both: true, run: asks(nil, addressed, withoutOption(codeKeepAlive))},
	{name: "edns-tcp-keepalive is not sent to a client without EDNS", rfc: "7828 3.3.1", level: must, both: true, run: asks(func(q *query) *query { return q.plain().overTCP() }, addressed, withoutOPT)},
	{name: "edns-tcp-keepalive is not sent upstream over UDP", rfc: "7828 3.2.1", level: must, run: func(s *session) error {
		if err := asks(func(q *query) *query { return q.option(codeKeepAlive).overTCP() }, addressed)(s); err != nil {
			return err
		}
		for _, a := range s.received("") {
			if _, found := a.option(codeKeepAlive); found && !a.tcp {
				return errors.New("it went upstream over UDP")
			}
		}
		return nil
	}},
	{name: "the upstream's edns-tcp-keepalive over UDP is not handed on", rfc: "7828 3.2.2", level: must, both: true, run: served(withUpstreamOption(codeKeepAlive, 0, 100), asks(nil, addressed, withoutOption(codeKeepAlive)))},
}

func sameID(q *query, m *message) error {
	return expect(m.id == q.id, "got id %d, want %d", m.id, q.id)
}

// onStream gives a check a connection; on a hit www is kept before.
func onStream(run func(s *session, stream *client) error) func(*session) error {
	return func(s *session) error {
		if s.hit {
			if err := s.prime(s.query("www", dns.TypeA)); err != nil {
				return err
			}
		}
		stream, err := s.dial()
		if err != nil {
			return err
		}
		defer stream.close()
		return run(s, stream)
	}
}

// pipelined asks different questions in one piece and wants all their answers,
// in any order.
func pipelined(s *session, stream *client, count int) error {
	waiting := map[uint16]*query{}
	var packets [][]byte
	for index := range count {
		label := fmt.Sprintf("www%d", index)
		if s.hit {
			label = "www"
		}
		q := s.query(label, dns.TypeA).with(func(q *query) { q.id = uint16(1000 + index) })
		waiting[q.id] = q
		packets = append(packets, q.packet())
	}
	stream.write(framed(packets...))
	for range count {
		m, err := stream.message()
		if err != nil {
			return fmt.Errorf("%d of %d questions are not answered: %w", len(waiting), count, err)
		}
		q := waiting[m.id]
		if q == nil {
			return fmt.Errorf("got a reply that nobody waits for: %s", describe(m.raw))
		}
		delete(waiting, m.id)
		if err := judged(q, m, sameQuestion, addressed); err != nil {
			return err
		}
	}
	return nil
}

// sameIDs asks two questions with one id; the question section tells which is
// which.
func sameIDs(s *session, c *client) error {
	waiting := map[name]*query{}
	for _, label := range []string{"one", "two"} {
		q := s.query(label, dns.TypeA).with(func(q *query) { q.id = 77 })
		waiting[q.name] = q
		packet := q.packet()
		if c.tcp {
			packet = framed(packet)
		}
		c.write(packet)
	}
	for range 2 {
		m, err := c.message()
		if err != nil {
			return err
		}
		if len(m.questions) != 1 || waiting[m.questions[0].name] == nil {
			return fmt.Errorf("got a reply that nobody waits for: %s", describe(m.raw))
		}
		q := waiting[m.questions[0].name]
		delete(waiting, q.name)
		if err := judged(q, m, sameID, addressed); err != nil {
			return err
		}
	}
	return nil
}

// outOfOrder asks something slow and then something quick.
func outOfOrder(s *session) error {
	slow := s.name("slow")
	s.serve(func(a *asked) {
		if a.question().name.is(slow) {
			pause(700 * time.Millisecond)
		}
		ordinary(a)
	})
	return onStream(func(s *session, stream *client) error {
		first, second := s.query("slow", dns.TypeA), s.query("quick", dns.TypeA)
		stream.write(framed(first.packet(), second.packet()))
		start := time.Now()
		m, err := stream.message()
		if err != nil {
			return err
		}
		return expect(m.id == second.id, "the first reply, after %s, is that to the slow question", time.Since(start).Round(time.Millisecond))
	})(s)
}

// inPieces sends the beginning of a message, and the rest some time later.
func inPieces(size int) func(*session) error {
	return onStream(func(s *session, stream *client) error {
		q := s.query("www", dns.TypeA)
		packet := framed(q.packet())
		_, _ = stream.Write(packet[:size])
		pause(60 * time.Millisecond)
		_, _ = stream.Write(packet[size:])
		m, err := stream.message()
		if err != nil {
			return err
		}
		return judged(q, m, addressed)
	})
}

// oneSegment reads once and wants everything.
func oneSegment(s *session, stream *client) error {
	stream.write(framed(s.query("www", dns.TypeA).packet()))
	buffer := make([]byte, 4096)
	if err := stream.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	length, err := stream.Read(buffer)
	if err != nil {
		return err
	}
	return expect(length > 2 && int(buffer[0])<<8|int(buffer[1]) == length-2, "the first segment has %d bytes", length)
}

// halfClosed sends a question and FIN.
func halfClosed(s *session, stream *client) error {
	s.serve(later(mergeTime, ordinary))
	q := s.query("www", dns.TypeA)
	stream.write(framed(q.packet()))
	if err := stream.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	m, err := stream.message()
	if err != nil {
		return err
	}
	if err := judged(q, m, addressed); err != nil {
		return err
	}
	_ = stream.SetReadDeadline(time.Now().Add(patience))
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the server has not closed the connection: %w", err)
	}
	return nil
}

// idle asks again on a connection after some time.
func idle(duration time.Duration) func(*session) error {
	return onStream(func(s *session, stream *client) error {
		if err := pipelined(s, stream, 1); err != nil {
			return err
		}
		pause(duration)
		return pipelined(s, stream, 1)
	})
}

// manyConnections opens connections and asks on all of them.
func manyConnections(s *session) error {
	var streams []*client
	for range 30 {
		stream, err := s.dial()
		if err != nil {
			return err
		}
		defer stream.close()
		streams = append(streams, stream)
	}
	for _, stream := range streams {
		if err := pipelined(s, stream, 1); err != nil {
			return err
		}
	}
	return nil
}
