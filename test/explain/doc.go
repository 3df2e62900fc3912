// Package explain holds the table of faults: whatever is wrong between a client and
// its private endpoint, the last line of explain, of doctor, or of both says so. The
// faults are injected into a name server that behaves like Azure-provided DNS, and
// the real program is asked about them.
package explain
