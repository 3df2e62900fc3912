package privatelink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"github.com/coredns/caddy/caddyfile"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// Stanza is one privatelink stanza of a Corefile, read and found without mistakes. No
// server runs for it. It is safe for concurrent use, but for what Open returns.
type Stanza struct {
	config *config
	// keys are the server block's, ".:1053"; hosts what its bind lines say.
	keys  []string
	hosts []string
}

// Where is the stanza's place, "Corefile:3".
func (s *Stanza) Where() string { return s.config.where }

// State is the directory that the server's state and its admin socket are in, empty
// for none.
func (s *Stanza) State() string { return s.config.stateDirectory() }

// ReadStanzas reads a Corefile and every file that its privatelink stanzas name. It
// returns all mistakes at once, each with file and line; those of other plugins, which
// only their setup finds, are not among them. Directives are the names that may stand
// in a server block; nil are any. A Corefile without a stanza is a mistake.
func ReadStanzas(path string, directives []string) ([]*Stanza, error) {
	contents, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file; name the Corefile with -c FILE", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Corefile: %w", err)
	}
	blocks, err := caddyfile.Parse(path, bytes.NewReader(contents), directives)
	if err != nil {
		return nil, err
	}
	var stanzas []*Stanza
	var mistakes []error
	for _, block := range blocks {
		tokens, has := block.Tokens[pluginName]
		if !has {
			continue
		}
		read, err := readStanza(path, block, tokens)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		stanzas = append(stanzas, read)
	}
	if len(stanzas) == 0 && len(mistakes) == 0 {
		return nil, fmt.Errorf("%s: found no privatelink in any server block, expected at least one", path)
	}
	return stanzas, errors.Join(mistakes...)
}

func readStanza(path string, block caddyfile.ServerBlock, tokens []caddyfile.Token) (*Stanza, error) {
	dispenser := caddyfile.NewDispenserTokens(path, tokens)
	parsed, err := parse(&dispenser)
	if err == nil {
		_, err = parsed.loadCatalog()
	}
	if err := errors.Join(err, unreachedBeside(path, block)); err != nil {
		return nil, err
	}
	return &Stanza{config: parsed, keys: block.Keys, hosts: boundHosts(path, block)}, nil
}

// unreachedBeside refuses what is in the same block and would never be reached.
func unreachedBeside(path string, block caddyfile.ServerBlock) error {
	var mistakes []error
	for _, neighbour := range unreached {
		dispenser := caddyfile.NewDispenserTokens(path, block.Tokens[neighbour.name])
		if dispenser.Next() {
			mistakes = append(mistakes, fmt.Errorf("%s: found %s in the same server block, where it is never reached: %s", place(&dispenser), neighbour.name, neighbour.instead))
		}
	}
	return errors.Join(mistakes...)
}

// boundHosts are the addresses that the bind plugin names, "" for all.
func boundHosts(path string, block caddyfile.ServerBlock) []string {
	dispenser := caddyfile.NewDispenserTokens(path, block.Tokens["bind"])
	var hosts []string
	for dispenser.Next() {
		hosts = append(hosts, dispenser.RemainingArgs()...)
	}
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	return hosts
}

// Opened is a stanza at work by itself, for one who asks questions of its own: it
// listens nowhere and keeps no state. Close ends it.
type Opened struct {
	stanza  *Stanza
	shared  *slot
	service *service
}

// Open makes the stanza's upstream servers, with budgets of their own.
func (s *Stanza) Open() (*Opened, error) {
	shared := newSlot()
	built, err := build(s.config, shared)
	if err != nil {
		return nil, err
	}
	// A server that has long been running knows who was given a chain.
	built.policy.Chains = policy.NewChaseMemory(rand.Uint64(), time.Now().Add(-24*time.Hour))
	return &Opened{stanza: s, shared: shared, service: built}, nil
}

// Close ends pending questions and closes every socket.
func (o *Opened) Close() { o.shared.release(o.service.lease) }

// Explain tells what becomes of a question by this configuration, with nothing kept.
func (o *Opened) Explain(ctx context.Context, request ExplainRequest) (*Explanation, error) {
	return o.service.explain(ctx, request)
}
