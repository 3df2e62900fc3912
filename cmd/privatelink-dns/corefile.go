package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// corefileSource reads the Corefile, at the start and at every reload. It is
// safe for concurrent use.
type corefileSource struct {
	path string

	mutex    sync.Mutex
	reported string
}

// Load is the caddy.Loader that the reload plugin asks every few seconds. That
// plugin passes over an error in silence, so it is reported here, once for each
// mistake.
func (s *corefileSource) Load(string) (caddy.Input, error) {
	input, err := s.read()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err == nil {
		s.reported = ""
		return input, nil
	}
	privatelink.ReloadFailed()
	if err.Error() != s.reported {
		s.reported = err.Error()
		log.Printf("[ERROR] the running configuration stays in force: %s", err)
	}
	return nil, err
}

// read reads the file whole and sees that it can be parsed; caddy parses it
// again when it starts.
func (s *corefileSource) read() (caddy.Input, error) {
	contents, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file; name the Corefile with -c FILE", s.path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Corefile: %w", err)
	}
	blocks, err := caddyfile.Parse(s.path, bytes.NewReader(contents), nil)
	if err != nil {
		return nil, err
	}
	if len(blocks) == 0 {
		// caddy would serve CoreDNS's default Corefile, whoami on port 53, in its place.
		return nil, fmt.Errorf("%s: found no server block, expected at least one such as \". { privatelink { ... } }\"", s.path)
	}
	return caddy.CaddyfileInput{Contents: contents, Filepath: s.path, ServerTypeName: serverType}, nil
}
