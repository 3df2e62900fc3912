// Package prove measures what the product promises for bad days: Azure's
// limits under load, a retry storm, an outage, a leak, a partner's resource.
// Every proof has a short form, a few seconds for `make test`, and a full one
// for `make prove`; both judge the same properties.
//
// It sees our program and the simulator as processes, through their
// Corefiles, their answers and their signals, and uses loopback only; as root, the
// soak makes a network of its own, whose addresses can go. It must not import the
// packages that make them up.
//
// Environment, all optional:
//
//	PROVE=full         the full form
//	PROVE_FIGURES=DIR  a directory that gets the figures, a JSON file a proof
//	PROVE_SUBJECT=S    what is measured: privatelink (judged), or for comparison,
//	                   not judged: bare (our plugin without cache and budget) and
//	                   coredns (the plugins cache and forward of our binary)
//	PROVE_PROGRAM=P    a program that is measured in place of a new build; the soak
//	                   needs one whose wall clock can be set, as it builds itself
package prove
