//go:build linux

package differential

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"
)

// streams are a lane's connections, by client and server. One that ended is opened anew
// with the next question.
type streams map[netip.Addr]map[netip.AddrPort]net.Conn

// askOverTCP sends a question to both servers and waits for both replies. Where a server
// hangs up that is noted as a reply of its own.
func (l *lane) askOverTCP(q question) (answered, error) {
	q.packet = slices.Clone(q.packet) // whose id is its own
	result := answered{question: q}
	l.id++
	if len(q.packet) >= 2 {
		binary.BigEndian.PutUint16(q.packet, l.id)
	}
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(q.packet))), q.packet...)
	connections := make([]net.Conn, 2)
	for i, server := range []netip.AddrPort{l.fast, l.slow} {
		connection, err := l.streams.to(q.client, server)
		if err != nil {
			return result, err
		}
		if _, err := connection.Write(framed); err != nil {
			return result, fmt.Errorf("%s over TCP: %w", q, err)
		}
		connections[i] = connection
	}
	sent, wait := time.Now(), patience
	if s := shapeOf(q.packet); s.short || s.reply {
		wait = silence
	}
	var arrived [2]time.Duration
	for i, packet := range []*[]byte{&result.fast, &result.slow} {
		message, ended := readFramed(connections[i], sent.Add(wait))
		if ended {
			l.streams.end(q.client, []netip.AddrPort{l.fast, l.slow}[i])
			message = []byte(hungUp)
		}
		*packet, arrived[i] = message, time.Since(sent)
	}
	result.apart = arrived[1] - arrived[0]
	return result, nil
}

// to returns the connection of a client to a server.
func (s streams) to(client netip.Addr, server netip.AddrPort) (net.Conn, error) {
	if s[client] == nil {
		s[client] = map[netip.AddrPort]net.Conn{}
	}
	if known := s[client][server]; known != nil {
		return known, nil
	}
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0)), Timeout: patience}
	made, err := dialer.Dial("tcp", server.String())
	if err == nil {
		s[client][server] = made
	}
	return made, err
}

func (s streams) end(client netip.Addr, server netip.AddrPort) {
	_ = s[client][server].Close()
	delete(s[client], server)
}

func (s streams) close() {
	for _, connections := range s {
		for _, connection := range connections {
			_ = connection.Close()
		}
	}
}

// readFramed returns the next message, nil where its time is up, and whether the server
// hung up.
func readFramed(connection net.Conn, deadline time.Time) (message []byte, ended bool) {
	_ = connection.SetReadDeadline(deadline)
	var length [2]byte
	if _, err := io.ReadFull(connection, length[:]); err != nil {
		timeout, isTimeout := err.(net.Error)
		return nil, !isTimeout || !timeout.Timeout()
	}
	message = make([]byte, binary.BigEndian.Uint16(length[:]))
	_ = connection.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(connection, message); err != nil {
		return nil, true
	}
	return message, false
}
