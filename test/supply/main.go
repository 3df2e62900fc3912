// Command supply says what the program is made of: `supply bill BINARY` writes a bill of
// materials in CycloneDX's JSON of what a binary says of itself (as `go version -m` does),
// `supply licences` the licences of all modules in it, with their texts, which go along
// with the binary. Both write to standard output, and the same for the same sources: no
// time, no random number.
//
// It reads the module cache and must not reach the network.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "supply:", err)
		os.Exit(1)
	}
}

func run(arguments []string, out io.Writer) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "bill":
		return writeBill(out, arguments[1])
	case len(arguments) == 1 && arguments[0] == "licences":
		return writeLicences(out)
	}
	return fmt.Errorf("found arguments %q, expected bill BINARY or licences", arguments)
}
