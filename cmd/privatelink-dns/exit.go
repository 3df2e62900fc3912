package main

import (
	"errors"
	"os"
)

// The exit codes of every command: 0 for done, codeFailed for an error, and
// codeFound for a command that did its work and found what needs a look.
const (
	codeFailed = 1
	codeFound  = 2
)

// findingError ends a command that did its work with codeFound. It is empty where the
// output itself tells what was found.
type findingError string

func (f findingError) Error() string { return string(f) }

// exitCode is how the program ends after an error.
func exitCode(err error) int {
	var found findingError
	if errors.As(err, &found) {
		return codeFound
	}
	return codeFailed
}

// paint colours what is written to a terminal, and nothing else. The zero paint
// has no colours.
type paint struct{ on bool }

// paintFor looks at where the output goes. NO_COLOR and TERM=dumb turn colours
// off (https://no-color.org).
func paintFor(out any) paint {
	file, isFile := out.(*os.File)
	if !isFile || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return paint{}
	}
	info, err := file.Stat()
	return paint{on: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p paint) bold(text string) string   { return p.with("1", text) }
func (p paint) red(text string) string    { return p.with("31", text) }
func (p paint) green(text string) string  { return p.with("32", text) }
func (p paint) yellow(text string) string { return p.with("33", text) }

// with uses the SGR sequences of ECMA-48.
func (p paint) with(code, text string) string {
	if !p.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
