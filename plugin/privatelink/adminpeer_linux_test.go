package privatelink

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestAdminAsksTheKernelWhoAsks(t *testing.T) {
	for _, tc := range []struct {
		name string
		may  bool
		want int
	}{
		{"who may", true, http.StatusOK},
		{"who may not", false, http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked uint32
			got := askedBy(t, func(user uint32) bool { asked = user; return tc.may })
			if want := uint32(os.Geteuid()); got != tc.want || asked != want {
				t.Errorf("status %d for user %d, want %d for %d", got, asked, tc.want, want)
			}
		})
	}
}

func TestMayAdminister(t *testing.T) {
	own := uint32(os.Geteuid())
	for user, want := range map[uint32]bool{own: true, 0: true, own + 1: false} {
		if got := mayAdminister(user); got != want {
			t.Errorf("mayAdminister(%d) = %v, want %v", user, got, want)
		}
	}
}

// askedBy asks through a socket that is for some users only, and returns the status.
func askedBy(t *testing.T, may func(uint32) bool) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), AdminSocket)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(onlyFor(may, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	_ = server.Listener.Close()
	server.Listener, server.Config.ConnContext = listener, withPeer
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	reply, err := client.Get("http://admin/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	return reply.StatusCode
}
