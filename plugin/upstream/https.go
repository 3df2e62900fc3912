package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// dnsMessage is the media type of RFC 8484 section 6.
const dnsMessage = "application/dns-message"

// https asks one server over HTTPS (RFC 8484), with HTTP/2 where the server can.
type https struct {
	url     string
	client  *http.Client
	ignored *atomic.Uint64
	closing context.Context
	shut    context.CancelFunc
}

var _ transport = (*https)(nil)

// newHTTPS connects to the server's address, whatever name the URL has. No proxy of
// the environment is used and no redirection followed: both would lead to somebody
// else.
func newHTTPS(addr netip.AddrPort, o Options, plain connector, ignored *atomic.Uint64) *https {
	path := o.Path
	if path == "" {
		path = "/dns-query"
	}
	address := url.URL{Scheme: "https", Host: net.JoinHostPort(o.ServerName, fmt.Sprint(addr.Port())), Path: path}
	if addr.Port() == 443 {
		address.Host = o.ServerName
	}
	h := &https{url: address.String(), ignored: ignored}
	h.closing, h.shut = context.WithCancel(context.Background())
	h.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return plain(ctx) },
			TLSClientConfig:     o.secured(),
			TLSHandshakeTimeout: dialTimeout,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
			MaxConnsPerHost:     maxStreams,
			IdleConnTimeout:     streamIdle,
			HTTP2: &http.HTTP2Config{
				// A connection whose path was cut must not keep questions for long.
				SendPingTimeout: time.Second,
				PingTimeout:     time.Second,
			},
		},
	}
	return h
}

func (h *https) protocol() Transport { return HTTPS }

// exchange implements transport. An abandoned question is cancelled at the server by
// HTTP itself, so its ticket is released with it.
func (h *https) exchange(ctx context.Context, q *query, permit *ticket) ([]byte, error) {
	defer permit.release()
	if err := permit.depart(ctx, q.lost); err != nil {
		return nil, err
	}
	permit.left()
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(h.closing, cancel)
	defer stop()
	if q.lost != nil {
		go func() {
			select {
			case <-q.lost:
				cancel()
			case <-either.Done():
			}
		}()
	}
	wire, err := h.post(either, q)
	switch {
	case err == nil:
		return wire, nil
	case h.closing.Err() != nil:
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case either.Err() != nil:
		return nil, either.Err()
	}
	return nil, err
}

// post sends a query with id 0 (RFC 8484 section 4.1), which may be cached on the way,
// and reads its reply. What is sent is a copy, which may still be read afterwards.
func (h *https) post(ctx context.Context, q *query) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(bytes.Clone(q.wire)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", dnsMessage)
	request.Header.Set("Accept", dnsMessage)
	request.Header.Set("User-Agent", "")
	response, err := h.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != dnsMessage {
		return nil, fmt.Errorf("%w: found HTTP status %d with %q, expected 200 with %q", ErrMalformed, response.StatusCode, got, dnsMessage)
	}
	wire, err := io.ReadAll(io.LimitReader(response.Body, math.MaxUint16+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading a reply: %w", err)
	case len(wire) > dns.MaxMsgSize:
		return nil, fmt.Errorf("%w: found more than %d bytes", ErrMalformed, dns.MaxMsgSize)
	}
	if id, ok := messageID(wire); !ok || id != 0 || !accepts(wire, q.question) {
		h.ignored.Add(1)
		return nil, fmt.Errorf("%w: the reply is to another question", ErrMalformed)
	}
	return wire, nil
}

// withoutURL takes what net/http adds to an error, which says nothing new.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// close implements transport.
func (h *https) close() {
	h.shut()
	h.client.CloseIdleConnections()
}
