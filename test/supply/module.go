package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// program is the package whose modules are told.
const program = "github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns"

// module is a module of somebody else's that is part of the program.
type module struct {
	Path, Version string
	// Dir is where its sources are, in the module cache.
	Dir string
}

// modules returns the modules that the program is built from on Linux, by path.
func modules() ([]module, error) {
	command := exec.Command("go", "list", "-deps", "-json=Module", program)
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	listed, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the modules of %s: %w", program, err)
	}
	found := map[string]module{}
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var one struct {
			Module *struct {
				module
				Main    bool
				Replace *module
			}
		}
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing the modules of %s: %w", program, err)
		}
		if one.Module != nil && !one.Module.Main {
			found[one.Module.Path] = one.Module.module
		}
	}
	var all []module
	for _, m := range found {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// licence is what a module may be used under.
type licence struct {
	// Identifiers are SPDX's: https://spdx.org/licenses. There are several where
	// parts have licences of their own.
	identifiers []string
	// texts are the licence files and notices, by file name.
	texts []text
}

type text struct{ name, content string }

// fileNames are what licences and notices are called; more may follow.
var fileNames = []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}

// licence reads the licence files of a module.
func (m module) licence() (licence, error) {
	var l licence
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return l, fmt.Errorf("reading the licence of %s: %w", m.Path, err)
	}
	for _, entry := range entries {
		if !slices.ContainsFunc(fileNames, func(name string) bool { return strings.HasPrefix(strings.ToUpper(entry.Name()), name) }) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(m.Dir, entry.Name()))
		if err != nil {
			return l, fmt.Errorf("reading the licence of %s: %w", m.Path, err)
		}
		l.texts = append(l.texts, text{entry.Name(), strings.ReplaceAll(string(content), "\r\n", "\n")})
		if identifier := identify(string(content)); identifier != "" && !slices.Contains(l.identifiers, identifier) {
			l.identifiers = append(l.identifiers, identifier)
		}
	}
	if len(l.identifiers) == 0 {
		return l, fmt.Errorf("%s: found no licence that is known in %d files of %s: look at it, and add it to the table if it permits our use", m.Path, len(l.texts), m.Dir)
	}
	slices.Sort(l.identifiers)
	return l, nil
}

// known are phrases that only the licence's text has. The first match counts.
var known = []struct {
	identifier string
	phrases    []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0, January 2004"}},
	{"MPL-2.0", []string{"Mozilla Public License", "version 2.0"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "may be used to endorse or promote products"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms", "THIS SOFTWARE IS PROVIDED BY"}},
	{"MIT", []string{"Permission is hereby granted, free of charge", "without restriction"}},
	{"CC0-1.0", []string{"Creative Commons", "CC0 1.0 Universal"}},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software for any purpose"}},
}

// identify returns the SPDX identifier of a licence's text; empty where it is none, as a
// notice is, or unknown.
func identify(content string) string {
	folded := strings.ToLower(strings.Join(strings.Fields(content), " "))
	for _, l := range known {
		all := true
		for _, phrase := range l.phrases {
			all = all && strings.Contains(folded, strings.ToLower(phrase))
		}
		if all {
			return l.identifier
		}
	}
	return ""
}
