package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const containerFile = "deploy/container/Containerfile"

// TestContainerFile holds what the image promises: TestServesFromAnEmptyImage runs such a
// one without a builder.
func TestContainerFile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, containerFile))
	if err != nil {
		t.Fatal(err)
	}
	_, last, found := strings.Cut(string(text), "\nFROM scratch\n")
	if !found || strings.Contains(last, "\nFROM ") || strings.Contains(last, "\nRUN ") {
		t.Errorf("the last stage is not FROM scratch, with nothing run in it:\n%s", last)
	}
	for _, want := range []string{`(?m)^USER [1-9]\d*:[1-9]\d*$`, `(?m)^ENTRYPOINT \["/privatelink-dns"\]$`, `(?m)^EXPOSE 53/udp 53/tcp `, `(?m)^COPY .*/ca-certificates\.crt$`} {
		if !regexp.MustCompile(want).MatchString(last) {
			t.Errorf("the last stage has no line %s:\n%s", want, last)
		}
	}
}

func TestEveryBuildHasTheSameFlags(t *testing.T) {
	want, err := buildFlags("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := buildFlags(containerFile); err != nil || got != want {
		t.Errorf("%s builds with %q (%v), make build with %q", containerFile, got, err, want)
	}
}
