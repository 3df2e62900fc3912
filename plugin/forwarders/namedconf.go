package forwarders

import (
	"bytes"
	"strings"
)

// statement is one statement of named.conf: words, and the block in braces if it
// has one, such as: zone "corp.example" { type forward; };
type statement struct {
	line  int
	words []string
	block []statement
}

// is tells whether the statement begins with a word.
func (s statement) is(word string) bool {
	return len(s.words) > 0 && strings.EqualFold(s.words[0], word)
}

// word is the word at a place, empty if there is none.
func (s statement) word(at int) string {
	if at < len(s.words) {
		return s.words[at]
	}
	return ""
}

// find returns the last statement of a block that begins with a word.
func find(block []statement, word string) (found statement, ok bool) {
	for _, s := range block {
		if s.is(word) {
			found, ok = s, true
		}
	}
	return found, ok
}

// namedConf reads the grammar of named.conf: BIND 9 Administrator Reference
// Manual, section "Configuration File Grammar". It knows no statements.
type namedConf struct {
	*reader
	data []byte
	at   int
	line int
	// parts counts words and blocks.
	parts int
}

// endOfFile ends the statements of a file, as a brace ends those of a block.
const endOfFile = 0

// statements reads until the end of the file, at depth 0, or of the block.
func (p *namedConf) statements(depth int) ([]statement, error) {
	if depth > maxDepth {
		return nil, p.fail(p.line, "found blocks nested deeper than %d", maxDepth)
	}
	opened := p.line
	var all []statement
	for {
		s, end, err := p.statement(depth)
		if err != nil {
			return nil, err
		}
		if len(s.words) > 0 || s.block != nil {
			all = append(all, s)
		}
		if end != ';' {
			return all, p.checkEnd(end, depth, opened)
		}
	}
}

// checkEnd checks that blocks end with a brace, and the file without one.
func (p *namedConf) checkEnd(end byte, depth, opened int) error {
	switch {
	case end == endOfFile && depth > 0:
		return p.fail(opened, "found a block without its closing brace")
	case end == '}' && depth == 0:
		return p.fail(p.line, "found a closing brace without a block")
	}
	return nil
}

// statement reads one statement and returns what ended it: a semicolon, a
// closing brace or the end of the file.
func (p *namedConf) statement(depth int) (s statement, end byte, err error) {
	for {
		if err := p.skip(); err != nil || p.at == len(p.data) {
			return s, endOfFile, err
		}
		if len(s.words) == 0 && s.block == nil {
			s.line = p.line
		}
		if p.parts++; p.parts > maxWords {
			return s, 0, p.fail(p.line, "found more than %d words and signs", maxWords)
		}
		if c := p.data[p.at]; c == ';' || c == '}' {
			p.at++
			return s, c, nil
		}
		if err := p.part(&s, depth); err != nil {
			return s, 0, err
		}
	}
}

// part reads the next word or block of a statement.
func (p *namedConf) part(s *statement, depth int) error {
	if p.data[p.at] == '{' {
		p.at++
		block, err := p.statements(depth + 1)
		s.block = append(s.block, block...)
		return err
	}
	word, err := p.word()
	s.words = append(s.words, word)
	return err
}

// word reads a word, with or without quotation marks.
func (p *namedConf) word() (string, error) {
	if p.data[p.at] != '"' {
		length := bytes.IndexAny(p.data[p.at:], " \t\r\n;{}\"")
		if length < 0 {
			length = len(p.data) - p.at
		}
		word := string(p.data[p.at : p.at+length])
		p.at += length
		return word, nil
	}
	length := bytes.IndexAny(p.data[p.at+1:], "\"\n")
	if length < 0 || p.data[p.at+1+length] == '\n' {
		return "", p.fail(p.line, "found a quotation mark without its other half")
	}
	word := string(p.data[p.at+1 : p.at+1+length])
	p.at += length + 2
	return word, nil
}

// skip passes over blanks and the three kinds of comments.
func (p *namedConf) skip() error {
	for p.at < len(p.data) {
		rest := p.data[p.at:]
		length := 1
		switch {
		case bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0:
		case rest[0] == '#' || bytes.HasPrefix(rest, []byte("//")):
			if length = bytes.IndexByte(rest, '\n'); length < 0 {
				length = len(rest)
			}
		case bytes.HasPrefix(rest, []byte("/*")):
			if length = bytes.Index(rest, []byte("*/")) + 2; length < 2 {
				return p.fail(p.line, "found a comment without its end")
			}
		default:
			return nil
		}
		p.line += bytes.Count(rest[:length], []byte("\n"))
		p.at += length
	}
	return nil
}
