package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestLicencesAreCurrent(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("..", "..", "LICENCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := writeLicences(&got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("LICENCES.md is not what the modules say: run make licences, and look at what has changed")
	}
}

// TestBillNamesEveryModule makes the bill of a binary with the modules of these sources.
func TestBillNamesEveryModule(t *testing.T) {
	all, err := modules()
	if err != nil {
		t.Fatal(err)
	}
	information := &buildinfo.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Path: "example.org/main"}}
	for _, m := range all {
		information.Deps = append(information.Deps, &debug.Module{Path: m.Path, Version: m.Version, Sum: "h1:x"})
	}
	bill, err := billOf(information, all)
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(bill)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pkg:golang/github.com/coredns/coredns@v", "pkg:golang/std@go1.26", `"Apache-2.0"`, "h1:x"} {
		if !strings.Contains(string(written), want) {
			t.Errorf("the bill does not contain %q", want)
		}
	}
	if got, want := len(*bill.Components), len(all)+1; got != want {
		t.Errorf("the bill has %d components, want %d", got, want)
	}
	information.Deps[0].Version = "v0.0.0-other"
	if _, err := billOf(information, all); err == nil {
		t.Error("a binary that was built from other modules has a bill, want an error")
	}
}

func TestIdentify(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"MIT", "Permission is hereby granted, free of charge, to any\nperson, without restriction", "MIT"},
		{"Apache, spread over lines", "Apache\n  License\nVersion 2.0,   January 2004", "Apache-2.0"},
		{"a notice", "This product includes software developed by somebody", ""},
		{"the GPL", "GNU GENERAL PUBLIC LICENSE Version 3", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := identify(tc.text); got != tc.want {
				t.Errorf("identify(%q) = %q, want %q", tc.text, got, tc.want)
			}
		})
	}
}
