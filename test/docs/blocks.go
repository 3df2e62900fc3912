// Package docs runs what the documents show: every Corefile starts, every
// configuration of another server is accepted by that server, and every
// command prints what stands below it.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	language string
	text     string
	line     int
	// file is the name of the file that the text before the block gives it,
	// as in "with *lab.yaml*:"; empty if it gives none.
	file string
}

var fileName = regexp.MustCompile(`\*([a-z]+\.yaml)\*:$`)

var root = filepath.Join("..", "..")

// blocks returns the fenced blocks of a document, in both of Markdown's fences.
func blocks(t testing.TB, document string) []block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	open, before := false, ""
	for number, line := range strings.Split(string(data), "\n") {
		trimmed := strings.TrimSpace(line)
		isFence := strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~")
		switch {
		case isFence && !open:
			found = append(found, block{language: strings.TrimSpace(strings.TrimLeft(trimmed, "`~")), line: number + 1})
			if named := fileName.FindStringSubmatch(before); named != nil {
				found[len(found)-1].file = named[1]
			}
			open = true
		case isFence:
			open = false
		case open:
			found[len(found)-1].text += line + "\n"
		case trimmed != "":
			before = trimmed
		}
	}
	return found
}

// ofLanguage keeps the blocks of one language.
func ofLanguage(all []block, language string) []block {
	var kept []block
	for _, one := range all {
		if one.language == language {
			kept = append(kept, one)
		}
	}
	return kept
}

// documents are all Markdown files of the repository.
func documents(t testing.TB) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range matches {
			relative, err := filepath.Rel(root, match)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, relative)
		}
	}
	return found
}
