package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
)

// Options are what can be said of a server besides its address. The zero value is a
// server over UDP, and TCP where a reply does not fit, without a limit.
type Options struct {
	// Transport is what the server is asked over: UDP and TCP where it is UDP or empty,
	// and one transport only for TCP, TLS and HTTPS.
	Transport Transport
	// ServerName is the name that the server's certificate must carry, for TLS and
	// HTTPS. It is not looked up. It must not be empty there.
	ServerName string
	// Path is where an HTTPS server is asked, "/dns-query" if empty.
	Path string
	// Roots are the authorities that may sign the certificate; nil are the system's.
	Roots *x509.CertPool
	// Budget is what the server may be sent.
	Budget Budget
	// LowerCase has names asked as they are. Otherwise their letters' case is random over
	// UDP, for as long as the server copies it, so that a reply is harder to forge. It is
	// for servers that take spellings for different names.
	LowerCase bool
	// ProbeName is the fully qualified name that a silent server is asked for, for its
	// A records. Any reply will do. It should be a name that the server knows by
	// itself, or one of a private zone of its own; "localhost." if empty.
	ProbeName string
	// Dial opens sockets of network "udp" and "tcp"; nil stands for net.Dialer's
	// DialContext. It may be called by goroutines at once. For "udp" nothing may be waited
	// for, and each write to the connection is one datagram.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewServer returns the server at addr, over UDP and TCP, in lower case, without
// cookies and without a limit. It opens nothing: sockets come with the first question, and go when they have not been used
// for a while. Close releases what is left.
func NewServer(addr netip.AddrPort) *Server {
	var d net.Dialer
	// The generator behind rand.Uint64 is ChaCha8, seeded by the operating system
	// and not seedable from outside: ids and ports cannot be foretold from others.
	return newServer(addr, d.DialContext, rand.Uint64)
}

// Open returns the server at addr as the options say. Like NewServer it opens nothing.
// The error tells an option that cannot be.
func Open(addr netip.AddrPort, o Options) (*Server, error) {
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return open(addr, o, dial, rand.Uint64)
}

func newServer(addr netip.AddrPort, dial dialer, random func() uint64) *Server {
	s := prepare(addr, random)
	s.overDatagrams(dial, true)
	_ = s.SetProbeName(defaultProbeName) // a name that can be asked
	return s
}

func open(addr netip.AddrPort, o Options, dial dialer, random func() uint64) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", addr, err)
	}
	s := prepare(addr, random)
	if err := s.SetProbeName(o.ProbeName); err != nil {
		return nil, err
	}
	s.pacer.set(o.Budget)
	plain := plainTCP(addr.String(), dial)
	switch o.Transport {
	case TCP:
		s.transports = []transport{newTCP(TCP, plain, random, &s.ignored)}
	case TLS:
		s.transports = []transport{newTCP(TLS, overTLS(plain, o.secured()), random, &s.ignored)}
	case HTTPS:
		s.transports = []transport{newHTTPS(addr, o, plain, &s.ignored)}
	default:
		s.overDatagrams(dial, o.LowerCase)
		s.udp.cookies.on = true
	}
	return s, nil
}

// prepare makes a server without a transport and without a probe.
func prepare(addr netip.AddrPort, random func() uint64) *Server {
	s := &Server{addr: addr, random: random, pacer: newPacer(Budget{}), heard: make(chan struct{}, 1)}
	s.closing, s.shut = context.WithCancel(context.Background())
	return s
}

func (s *Server) overDatagrams(dial dialer, lowerCase bool) {
	s.udp = newUDP(s.addr.String(), dial, s.random, &s.ignored)
	s.udp.lowerCase = lowerCase
	s.transports = []transport{s.udp, newTCP(TCP, plainTCP(s.addr.String(), dial), s.random, &s.ignored)}
}

// check tells the options that cannot be.
func (o Options) check() error {
	var mistakes []error
	secure := o.Transport == TLS || o.Transport == HTTPS
	switch o.Transport {
	case "", UDP, TCP, TLS, HTTPS:
	default:
		mistakes = append(mistakes, fmt.Errorf("found transport %q, expected udp, tcp, tls or https", o.Transport))
	}
	if secure && o.ServerName == "" {
		mistakes = append(mistakes, fmt.Errorf("found no server name, expected the name in the server's certificate, because %s checks it", o.Transport))
	}
	if o.Path != "" && !strings.HasPrefix(o.Path, "/") {
		mistakes = append(mistakes, fmt.Errorf("found path %q, expected one that begins with a slash, such as /dns-query", o.Path))
	}
	if o.Budget.PerSecond < 0 || o.Budget.Outstanding < 0 {
		mistakes = append(mistakes, fmt.Errorf("found a budget of %d queries a second and %d outstanding, expected none below 0", o.Budget.PerSecond, o.Budget.Outstanding))
	}
	return errors.Join(mistakes...)
}

// secured is how TLS is spoken: the certificate is always checked, for the name and
// not for the address, and sessions are resumed.
func (o Options) secured() *tls.Config {
	return &tls.Config{
		ServerName:         o.ServerName,
		RootCAs:            o.Roots,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(2 * maxStreams),
	}
}

// overTLS returns a connector that speaks TLS over another one's connections.
func overTLS(plain connector, config *tls.Config) connector {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := plain(ctx)
		if err != nil {
			return nil, err
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secure, nil
	}
}
