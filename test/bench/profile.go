//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// profiles loads our server once more under each workload, and prints the 25
// functions that it spends the most time in. The loads are not part of any figure.
func (b *bench) profiles() error {
	for _, c := range b.cells {
		if !strings.HasPrefix(c.subject.name, oursName) {
			continue
		}
		path := filepath.Join(c.place.directory, "profile")
		var err error
		for range tries {
			if err = b.fetchUnderLoad(c, path); err == nil {
				break
			}
			b.say("profiling %s, to be tried again: %v", c.title(), err)
		}
		if err == nil {
			err = printProfile(c, path)
		}
		if err != nil {
			return fmt.Errorf("profiling %s: %w", c.title(), err)
		}
	}
	return nil
}

// fetchUnderLoad gets a profile of a server at full speed.
func (b *bench) fetchUnderLoad(c *cell, path string) error {
	length := max(b.length.Round(time.Second), 3*time.Second)
	fetched := make(chan error, 1)
	begun := func() { go func() { fetched <- fetchProfile(c, length, path) }() }
	if _, err := b.turn(c, load{length: length + time.Second, begun: begun}); err != nil {
		return err
	}
	c.thaw() // until the profile is there
	defer c.freeze()
	return <-fetched
}

// printProfile prints what the functions used by themselves, and with all that
// they called.
func printProfile(c *cell, path string) error {
	for _, order := range []string{"-flat", "-cum"} {
		said, err := exec.Command("go", "tool", "pprof", "-top", order, "-nodecount=25", path).CombinedOutput()
		fmt.Printf("\n%s %s\n%s", c.title(), order, typeArguments.ReplaceAll(said, []byte("[...]")))
		if err != nil {
			return err
		}
	}
	return nil
}

// typeArguments make the names of generic functions longer than a line.
var typeArguments = regexp.MustCompile(`\[go\.shape[^\n]*\]`)

// fetchProfile gets a profile of the server's processor time over that long.
func fetchProfile(c *cell, length time.Duration, path string) error {
	client := http.Client{Timeout: length + 30*time.Second}
	reply, err := client.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", c.place.profiles, int(length.Seconds())))
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(file, reply.Body)
	return err
}
