//go:build linux

package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// lanes is how many scenes play at once.
	lanes = 48
	// patience is how long a reply is waited for; the servers need 4 s at most.
	patience = 10 * time.Second
	// silence is how long is waited where no reply is expected: one that comes later
	// is found as one that nobody waits for.
	silence = 60 * time.Millisecond
)

// answered is a question with what came of it: a packet from each server, nil for
// none.
type answered struct {
	question
	fast, slow []byte
	overTCP    bool
	// apart is by how much the replies of the scene so far came at different times, and
	// so by how much answers of one age may differ in TTL.
	apart time.Duration
}

// pair are the two servers.
type pair struct{ fast, slow netip.AddrPort }

// lane plays scenes one after the other.
type lane struct {
	pair
	id      uint16
	clients map[netip.Addr]*net.UDPConn
	overTCP bool
	streams streams
	buffer  []byte
	results []answered
	strays  []string
}

// play asks all questions of all scenes, twice each, and returns what came of them,
// and of replies that nobody waited for.
func play(t *testing.T, servers pair, overTCP bool, all []scene) (results []answered, strays []string) {
	t.Helper()
	var playing sync.WaitGroup
	running := make([]*lane, lanes)
	failures := make([]error, lanes)
	for i := range running {
		running[i] = &lane{pair: servers, overTCP: overTCP, clients: map[netip.Addr]*net.UDPConn{}, streams: streams{}, buffer: make([]byte, 65536)}
		playing.Go(func() {
			defer running[i].close()
			for at, s := range all {
				if laneOf(at, s) == i && failures[i] == nil {
					failures[i] = running[i].play(s)
				}
			}
			running[i].drain()
		})
	}
	playing.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	for _, l := range running {
		results, strays = append(results, l.results...), append(strays, l.strays...)
	}
	return results, strays
}

// laneOf puts questions for the root, which is not a name of one scene only, into one
// lane.
func laneOf(at int, s scene) int {
	for _, q := range s {
		if len(q.packet) > 12 && q.packet[12] == 0 {
			return 0
		}
	}
	return at % lanes
}

func (l *lane) play(s scene) error {
	ask := l.ask
	if l.overTCP {
		ask = l.askOverTCP
	}
	var apart time.Duration
	for _, q := range s {
		for range 2 { // a miss, then a hit
			result, err := ask(q)
			if err != nil {
				return err
			}
			apart = max(apart, result.apart)
			result.apart, result.overTCP = apart, l.overTCP
			l.results = append(l.results, result)
		}
	}
	return nil
}

// ask sends a question to both servers, from one socket, and waits for both replies.
func (l *lane) ask(q question) (answered, error) {
	q.packet = slices.Clone(q.packet) // whose id is its own
	result := answered{question: q}
	connection, err := l.connection(q.client)
	if err != nil {
		return result, err
	}
	l.id++
	if len(q.packet) >= 2 {
		binary.BigEndian.PutUint16(q.packet, l.id)
	}
	for _, server := range []netip.AddrPort{l.fast, l.slow} {
		if _, err := connection.WriteToUDPAddrPort(q.packet, server); err != nil {
			return result, fmt.Errorf("%s: %w", q, err)
		}
	}
	sent, wait := time.Now(), patience
	if s := shapeOf(q.packet); s.short || s.reply {
		wait = silence
	}
	for result.fast == nil || result.slow == nil {
		from, packet := l.read(connection, sent.Add(wait))
		if packet == nil {
			return result, nil
		}
		if l.settle(&result, from, packet) {
			result.apart = time.Since(sent) - result.apart
		}
	}
	return result, nil
}

// settle puts a packet where it belongs. It reports false where that is nowhere.
func (l *lane) settle(result *answered, from netip.AddrPort, packet []byte) bool {
	expected := len(packet) >= 2 && binary.BigEndian.Uint16(packet) == l.id
	switch {
	case expected && from == l.fast && result.fast == nil:
		result.fast = packet
	case expected && from == l.slow && result.slow == nil:
		result.slow = packet
	default:
		l.strays = append(l.strays, fmt.Sprintf("%s got from %s, unasked: %x", result.client, from, packet))
		return false
	}
	return true
}

// connection is the socket of a client, which is not connected: who replies is seen.
func (l *lane) connection(client netip.Addr) (*net.UDPConn, error) {
	if known := l.clients[client]; known != nil {
		return known, nil
	}
	made, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(client, 0)))
	if err == nil {
		l.clients[client] = made
	}
	return made, err
}

// read returns the next packet, nil when its time is up.
func (l *lane) read(connection *net.UDPConn, deadline time.Time) (netip.AddrPort, []byte) {
	_ = connection.SetReadDeadline(deadline)
	for {
		length, from, err := connection.ReadFromUDPAddrPort(l.buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return from, nil
		case err == nil:
			return from, append([]byte{}, l.buffer[:length]...)
		}
	}
}

// drain looks for replies that came late, or twice.
func (l *lane) drain() {
	deadline := time.Now().Add(silence)
	for client, connection := range l.clients {
		for {
			from, packet := l.read(connection, deadline)
			if packet == nil {
				break
			}
			l.settle(&answered{question: question{client: client}, fast: packet, slow: packet}, from, packet)
		}
	}
}

func (l *lane) close() {
	l.streams.close()
	for _, connection := range l.clients {
		_ = connection.Close()
	}
}
