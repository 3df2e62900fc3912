// Package gates holds the house rules that a reader would otherwise have to
// check by hand: sizes, complexity, documentation and the direction of imports.
package gates

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const maxFileLines = 400

// limit is how long and how branched a function may be.
type limit struct{ lines, cyclomatic int }

// A test may be longer than other code, because its table of cases is data, and
// may compare more, because each comparison is a branch.
var (
	codeLimit = limit{lines: 60, cyclomatic: 10}
	testLimit = limit{lines: 100, cyclomatic: 15}
)

// source is one Go file of the module.
type source struct {
	path string // from the module's root, with slashes
	set  *token.FileSet
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) directory() string { return filepath.ToSlash(filepath.Dir(s.path)) }

func (s source) lines(node ast.Node) int {
	return s.set.Position(node.End()).Line - s.set.Position(node.Pos()).Line + 1
}

func (s source) at(node ast.Node) string {
	position := s.set.Position(node.Pos())
	position.Filename = s.path
	return position.String()
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []source
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		all = append(all, source{path: filepath.ToSlash(relative), set: set, file: file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files, expected the whole module", len(all))
	}
	return all
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if lines := s.set.File(s.file.Pos()).LineCount(); lines > maxFileLines {
			t.Errorf("%s has %d lines, at most %d are allowed: split it by concept", s.path, lines, maxFileLines)
		}
	}
}

func TestFunctionsAreShortAndSimple(t *testing.T) {
	for _, s := range sources(t) {
		allowed := codeLimit
		if s.isTest() {
			allowed = testLimit
		}
		for _, declaration := range s.file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			if lines := s.lines(function); lines > allowed.lines {
				t.Errorf("%s: %s has %d lines, at most %d are allowed", s.at(function), function.Name.Name, lines, allowed.lines)
			}
			if complexity := cyclomatic(function); complexity > allowed.cyclomatic {
				t.Errorf("%s: %s has a cyclomatic complexity of %d, at most %d are allowed", s.at(function), function.Name.Name, complexity, allowed.cyclomatic)
			}
		}
	}
}

// cyclomatic counts as gocyclo does: one, and one more for every branch.
func cyclomatic(function *ast.FuncDecl) int {
	complexity := 1
	ast.Inspect(function, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			complexity++
		case *ast.CaseClause:
			if node.List != nil {
				complexity++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				complexity++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				complexity++
			}
		}
		return true
	})
	return complexity
}

func TestExportedSymbolsAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, declaration := range s.file.Decls {
			checkDocumented(t, s, declaration)
		}
	}
}

func checkDocumented(t *testing.T, s source, declaration ast.Decl) {
	t.Helper()
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		if declaration.Name.IsExported() && receiverIsExported(declaration) && declaration.Doc == nil {
			t.Errorf("%s: %s is exported and has no comment", s.at(declaration), declaration.Name.Name)
		}
	case *ast.GenDecl:
		for _, specification := range declaration.Specs {
			if name, documented := describe(specification); ast.IsExported(name) && !documented && declaration.Doc == nil {
				t.Errorf("%s: %s is exported and has no comment", s.at(specification), name)
			}
		}
	}
}

func receiverIsExported(function *ast.FuncDecl) bool {
	if function.Recv == nil {
		return true
	}
	receiver := function.Recv.List[0].Type
	for {
		switch inner := receiver.(type) {
		case *ast.StarExpr:
			receiver = inner.X
		case *ast.IndexExpr:
			receiver = inner.X
		case *ast.Ident:
			// The methods of these two are documented by their interfaces.
			standard := function.Name.Name == "Error" || function.Name.Name == "String"
			return inner.IsExported() && !standard
		default:
			return false
		}
	}
}

func describe(specification ast.Spec) (name string, documented bool) {
	switch specification := specification.(type) {
	case *ast.TypeSpec:
		return specification.Name.Name, specification.Doc != nil
	case *ast.ValueSpec:
		return specification.Names[0].Name, specification.Doc != nil || specification.Comment != nil
	}
	return "", true
}

func TestEveryPackageHasOnePackageComment(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.isTest() && !strings.HasPrefix(s.path, "test/") {
			continue
		}
		if s.file.Doc != nil {
			comments[s.directory()]++
		} else {
			comments[s.directory()] += 0
		}
	}
	for directory, count := range comments {
		if count != 1 {
			t.Errorf("%s has %d package comments, expected one", directory, count)
		}
	}
}
