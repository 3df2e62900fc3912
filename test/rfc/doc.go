// Package rfc is a table of what a forwarding name server owes by RFC, and a
// battery that tries it from outside: a client that can send any bytes on one
// side of the server, upstreams that can reply with any bytes on the other. It
// knows nothing of the server but the port that it listens at, and so it runs on
// ours, on BIND and on Unbound alike. Messages are built and read by hand, as a
// DNS library would hide or refuse what the checks are about.
package rfc
