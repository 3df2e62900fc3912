//go:build linux

package lab

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a question waits for its reply: as long as dig does.
const patience = 5 * time.Second

// asker is a client on a host that asks over one connection, for what dig
// cannot do: many questions fast, and packets that are no questions.
type asker struct {
	connection net.Conn
}

func newAsker(t *testing.T, from *Host, network, server string) *asker {
	t.Helper()
	connection, err := from.Dial(network, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return &asker{connection}
}

// ask sends a message and returns the reply with its identifier.
func (a *asker) ask(message *dns.Msg) (*dns.Msg, error) {
	packet, err := message.Pack()
	if err != nil {
		return nil, err
	}
	if err := a.send(packet); err != nil {
		return nil, err
	}
	for {
		reply, err := a.receive()
		if err != nil || reply.Id == message.Id {
			return reply, err
		}
	}
}

func (a *asker) send(packet []byte) error {
	connection := dns.Conn{Conn: a.connection}
	_, err := connection.Write(packet)
	return err
}

func (a *asker) receive() (*dns.Msg, error) {
	if err := a.connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	connection := dns.Conn{Conn: a.connection, UDPSize: dns.MaxMsgSize}
	return connection.ReadMsg()
}

// question returns a question of type A with EDNS.
func question(name string) *dns.Msg {
	message := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	return message.SetEdns0(maxUDP, false)
}

// askAddress asks for a name's address, and tells what is wrong with the reply.
func (a *asker) askAddress(name, address string) error {
	reply, err := a.ask(question(name))
	if err != nil {
		return err
	}
	for _, record := range reply.Answer {
		if found, ok := record.(*dns.A); ok && found.A.String() == address {
			return nil
		}
	}
	return fmt.Errorf("got %s with %v, want %s", dns.RcodeToString[reply.Rcode], reply.Answer, address)
}
