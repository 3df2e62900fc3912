// Package explain holds the table of faults: whatever is wrong between a client and
// its private endpoint, the last line of explain and that of doctor say so. The
// faults are injected into a name server that behaves like Azure-provided DNS, and
// the real program is asked about them.
package explain
