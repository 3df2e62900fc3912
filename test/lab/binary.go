//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

// product returns the path of our own program, built once for all tests of a
// run. It is an ordinary build, without the race detector: the lab looks at it
// from outside.
var product = sync.OnceValues(func() (string, error) {
	path := filepath.Join(productDirectory(), "privatelink-dns")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, said)
	}
	return path, nil
})

// productDirectory is this process's own; Run removes it.
func productDirectory() string {
	return filepath.Join(os.TempDir(), "privatelink-dns-lab-"+strconv.Itoa(os.Getpid()))
}
