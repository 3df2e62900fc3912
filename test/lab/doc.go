// Package lab is the real topology on one machine: hosts with the real
// addresses in Linux network namespaces, BIND, Unbound and dnsmasq as the
// company's DNS servers, our own program, and a simulator at 168.63.129.16,
// all asked with dig.
//
// It knows programs and their configuration files, and sees our program from
// outside only: its Corefile, its answers, its query log, its signals. It must
// not import the packages that make it up, save for a test that writes the
// state of an older process.
package lab
