package privatelink

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

// onlyFor serves the users who may ask, as the kernel tells of them: the socket's mode
// says the same, but a mode is changed more easily than noticed. Where the kernel does
// not tell, outside linux, the mode is all there is.
func onlyFor(may func(user uint32) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if connection, ok := r.Context().Value(peerKey{}).(*net.UnixConn); ok {
			if peer, err := peerUID(connection); err == nil && !may(peer) {
				http.Error(w, fmt.Sprintf("found user %d, expected who runs the server, or root", peer), http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// mayAdminister reports whether a user is who runs this process, or root.
func mayAdminister(user uint32) bool { return user == 0 || user == uint32(os.Geteuid()) }
