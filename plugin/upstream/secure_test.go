package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// certified is an HTTPS server with a certificate for example.com, which also lends it.
func certified(t *testing.T, handler http.Handler) (server *httptest.Server, roots *x509.CertPool) {
	t.Helper()
	server = httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func opened(t *testing.T, addr net.Addr, o Options) *Server {
	t.Helper()
	s, err := Open(addr.(*net.TCPAddr).AddrPort(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// tlsServer answers over TLS and counts connections, and those that resume a session.
func tlsServer(t *testing.T, respond responder) (addr net.Addr, roots *x509.CertPool, connections, resumed *atomic.Int64) {
	t.Helper()
	certificate, roots := certified(t, nil)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificate.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	connections, resumed = new(atomic.Int64), new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveTLS(conn.(*tls.Conn), respond, connections, resumed)
		}
	}()
	return listener.Addr(), roots, connections, resumed
}

func serveTLS(conn *tls.Conn, respond responder, connections, resumed *atomic.Int64) {
	defer conn.Close()
	if conn.Handshake() != nil {
		return
	}
	connections.Add(1)
	if conn.ConnectionState().DidResume {
		resumed.Add(1)
	}
	for {
		query, err := readStream(conn)
		if err != nil {
			return
		}
		respond(TLS, query, func(wire []byte) {
			if wire == nil {
				conn.Close()
				return
			}
			_, _ = conn.Write(framed(wire))
		})
	}
}

func TestTLS(t *testing.T) {
	var asked atomic.Int64
	addr, roots, connections, resumed := tlsServer(t, func(transport Transport, query []byte, send func([]byte)) {
		if asked.Add(1) == 21 {
			send(nil)
			return
		}
		send(reply(t, query, address("10.0.2.4")))
	})
	s := opened(t, addr, Options{Transport: TLS, ServerName: "example.com", Roots: roots})
	for range 22 {
		answer, err := s.Exchange(within(t), testQuestion)
		if err != nil || firstAddress(answer) != "10.0.2.4" || answer.Transport != TLS {
			t.Fatalf("Exchange = %v, %v, want 10.0.2.4 over TLS", answer, err)
		}
	}
	if connections.Load() != 2 || resumed.Load() != 1 {
		t.Errorf("%d connections, %d resumed; want 2, 1", connections.Load(), resumed.Load())
	}
}

func TestTLSChecksTheName(t *testing.T) {
	addr, roots, _, _ := tlsServer(t, always(t, nil))
	tests := []struct {
		name    string
		options Options
		want    string
	}{
		{"other name", Options{Transport: TLS, ServerName: "dns.example.org", Roots: roots}, "not dns.example.org"},
		{"unknown authority", Options{Transport: TLS, ServerName: "example.com", Roots: x509.NewCertPool()}, "unknown authority"},
		{"other name, https", Options{Transport: HTTPS, ServerName: "dns.example.org", Roots: roots}, "not dns.example.org"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := opened(t, addr, tc.options).Exchange(within(t), testQuestion)
			if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Exchange = %v, want a certificate error that says %q", err, tc.want)
			}
		})
	}
}

func TestHTTPS(t *testing.T) {
	var mu sync.Mutex
	var requests []*http.Request
	var query []byte
	server, roots := certified(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		requests, query = append(requests, r), body
		mu.Unlock()
		w.Header().Set("Content-Type", dnsMessage)
		_, _ = w.Write(reply(t, body, address("10.0.2.4")))
	}))
	s := opened(t, server.Listener.Addr(), Options{Transport: HTTPS, ServerName: "example.com", Roots: roots, Path: "/ask"})
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			answer, err := s.Exchange(within(t), testQuestion)
			if err != nil || firstAddress(answer) != "10.0.2.4" || answer.Transport != HTTPS {
				t.Errorf("Exchange = %v, %v, want 10.0.2.4 over HTTPS", answer, err)
			}
		})
	}
	group.Wait()
	for _, r := range requests {
		if r.ProtoMajor != 2 || r.Method != http.MethodPost || r.URL.Path != "/ask" || r.Header.Get("Content-Type") != dnsMessage || r.UserAgent() != "" {
			t.Errorf("request %s %s %s with %v", r.Proto, r.Method, r.URL, r.Header)
		}
	}
	if id, _ := messageID(query); id != 0 {
		t.Errorf("the query has id %d, want 0", id)
	}
	s.Close()
	if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, ErrClosed) {
		t.Errorf("Exchange after Close = %v, want %v", err, ErrClosed)
	}
}

func TestHTTPSErrors(t *testing.T) {
	answer := func(status int, media string, edit func([]byte) []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			query, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", media)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write(edit(reply(t, query, nil)))
		}
	}
	asIs := func(wire []byte) []byte { return wire }
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"status", answer(503, dnsMessage, asIs), "HTTP status 503"},
		{"redirection", answer(307, dnsMessage, asIs), "HTTP status 307"},
		{"media type", answer(200, "text/html", asIs), `"text/html"`},
		{"other id", answer(200, dnsMessage, func(w []byte) []byte { w[0]++; return w }), "another question"},
		{"other question", answer(200, dnsMessage, func(w []byte) []byte { w[13]++; return w }), "another question"},
		{"cut off", answer(200, dnsMessage, func(w []byte) []byte { return w[:40] }), "malformed"},
		{"too long", answer(200, dnsMessage, func(w []byte) []byte { return make([]byte, 1<<17) }), "more than 65535"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			server, roots := certified(t, tc.handler)
			s := opened(t, server.Listener.Addr(), Options{Transport: HTTPS, ServerName: "example.com", Roots: roots})
			if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Exchange = %v, want a malformed reply that says %q", err, tc.want)
			}
		})
	}
}

func TestHTTPSContext(t *testing.T) {
	entered := make(chan struct{}, 2)
	server, roots := certified(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done() // the client's cancellation arrives
	}))
	s := opened(t, server.Listener.Addr(), Options{Transport: HTTPS, ServerName: "example.com", Roots: roots, Budget: Azure()})
	ctx, cancel := context.WithCancel(within(t))
	go func() { <-entered; cancel() }()
	if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.Canceled) {
		t.Errorf("Exchange = %v, want %v", err, context.Canceled)
	}
	go func() { <-entered; s.Close() }()
	if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, ErrClosed) {
		t.Errorf("Exchange = %v, want %v", err, ErrClosed)
	}
	if got := s.Stats(); got.Outstanding != 0 {
		t.Errorf("Stats() = %+v, want nothing outstanding", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		want    string
	}{
		{"transport", Options{Transport: "quic"}, `found transport "quic"`},
		{"no name", Options{Transport: TLS}, "found no server name"},
		{"path", Options{Transport: HTTPS, ServerName: "example.com", Path: "x"}, `found path "x"`},
		{"budget", Options{Budget: Budget{PerSecond: -1}}, "-1 queries a second"},
		{"probe name", Options{ProbeName: "example.org"}, `probe name: not a question`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Open(netip.MustParseAddrPort("192.0.2.1:53"), tc.options); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Open(%+v) = %v, want an error that says %q", tc.options, err, tc.want)
			}
		})
	}
}
