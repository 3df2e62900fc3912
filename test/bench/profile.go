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
		if err := b.profileOf(c); err != nil {
			return fmt.Errorf("profiling %s: %w", c.title(), err)
		}
	}
	return nil
}

func (b *bench) profileOf(c *cell) error {
	length := max(b.length.Round(time.Second), 3*time.Second)
	path := filepath.Join(c.place.directory, "profile")
	fetched := make(chan error, 1)
	begun := func() { go func() { fetched <- fetchProfile(c, length, path) }() }
	if _, err := b.turn(c, load{length: length + time.Second, begun: begun}); err != nil {
		return err
	}
	c.thaw() // until the profile is there
	err := <-fetched
	c.freeze()
	if err != nil {
		return err
	}
	said, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=25", path).CombinedOutput()
	fmt.Printf("\n%s\n%s", c.title(), typeArguments.ReplaceAll(said, []byte("[...]")))
	return err
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
