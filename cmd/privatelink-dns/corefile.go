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
	"github.com/spf13/pflag"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// installedCorefile is where the systemd unit has it.
const installedCorefile = "/etc/privatelink-dns/Corefile"

// addCorefileFlag adds the flag that names the Corefile. Without it, it is that of the
// directory one is in, or else the one that is installed.
func addCorefileFlag(flags *pflag.FlagSet, path *string, usage string) {
	usual := "Corefile"
	if _, err := os.Stat(usual); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(installedCorefile); err == nil {
			usual = installedCorefile
		}
	}
	flags.StringVarP(path, "config", "c", usual, usage+"; by default Corefile, or else "+installedCorefile)
	flags.Lookup("config").DefValue = "" // the same help and manual on every machine
}

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
