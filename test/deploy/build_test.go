package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// root is the module's.
var root = filepath.Join("..", "..")

// program builds the program as a release is built, once for all tests, and returns its
// path.
var program = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "privatelink-dns-deploy-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "privatelink-dns")
	return path, release(root, path)
})

// release builds the sources in a directory as `make build` does.
func release(sources, path string) error {
	flags, err := buildFlags("Makefile")
	if err != nil {
		return err
	}
	command := exec.Command("sh", "-c", "go build "+flags+` -o "$0" ./cmd/privatelink-dns`, path)
	command.Dir, command.Env = sources, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, said)
	}
	return nil
}

var buildLine = regexp.MustCompile(`CGO_ENABLED=0 (?:\$\(GO\)|go) build (.*) -o \S+ \./cmd/privatelink-dns`)

// buildFlags returns the flags with which a file of the repository builds the program, of
// release 0.
func buildFlags(file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return "", err
	}
	found := buildLine.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("%s: found no line that builds the program, expected CGO_ENABLED=0 go build …", file)
	}
	return strings.NewReplacer("$(RELEASE)", "0", "$RELEASE", "0", `"`, "'").Replace(string(found[1])), nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// TestBuildsAreReproducible builds the same sources in two places of different depth.
// make reproduce does the same with nothing from a build cache.
func TestBuildsAreReproducible(t *testing.T) {
	var built [2][]byte
	for number, place := range []string{"one", "another/and deeper"} {
		sources := filepath.Join(t.TempDir(), place)
		copySources(t, sources)
		path := filepath.Join(t.TempDir(), "privatelink-dns")
		if err := release(sources, path); err != nil {
			t.Fatal(err)
		}
		var err error
		if built[number], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Errorf("two builds of the same sources differ, in %d and %d bytes", len(built[0]), len(built[1]))
	}
}

// copySources copies what the program is built from.
func copySources(t *testing.T, to string) {
	t.Helper()
	for _, part := range []string{"go.mod", "go.sum", "cmd", "plugin", "zones"} {
		from := filepath.Join(root, part)
		information, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		if information.IsDir() {
			err = os.CopyFS(filepath.Join(to, part), os.DirFS(from))
		} else {
			var text []byte
			if text, err = os.ReadFile(from); err == nil {
				err = os.MkdirAll(to, 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(to, part), text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
