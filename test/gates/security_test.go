package gates

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"
)

// namedTest is a test or fuzz target as SECURITY.md writes it: with the name of its
// directory.
var namedTest = regexp.MustCompile("`([a-z]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")

func TestSecurityNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	for _, s := range sources(t) {
		for _, declaration := range s.file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && s.isTest() && function.Recv == nil {
				exists[path.Base(s.directory())+"."+function.Name.Name] = true
			}
		}
	}
	named := namedTest.FindAllStringSubmatch(string(text), -1)
	if len(named) < 50 {
		t.Fatalf("found %d tests in SECURITY.md, expected one for every row", len(named))
	}
	for _, match := range named {
		if name := match[1] + "." + match[2]; !exists[name] {
			t.Errorf("SECURITY.md names %s, which does not exist", name)
		}
	}
}
