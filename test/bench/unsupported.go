//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: needs Linux, which tells the processor time of other processes and keeps them on one processor")
	os.Exit(1)
}
