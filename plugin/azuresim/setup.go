package azuresim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

func init() { plugin.Register(name, setup) }

func setup(c *caddy.Controller) error {
	s, err := parse(&c.Dispenser)
	if err != nil {
		return plugin.Error(name, err)
	}
	dnsserver.GetConfig(c).AddPlugin(func(plugin.Handler) plugin.Handler { return s })
	c.OnShutdown(func() error {
		s.stop()
		return nil
	})
	return nil
}

// parse reads the plugin's lines of a Corefile, and the world they name. The
// error holds every mistake found. Nothing is started.
func parse(d *caddyfile.Dispenser) (*Simulator, error) {
	var errs []error
	st := &stanza{seed: rand.Uint64()}
	for first := true; d.Next(); first = false {
		if !first {
			errs = append(errs, fmt.Errorf("%s:%d - Error during parsing: %w", d.File(), d.Line(), plugin.ErrOnce))
			break
		}
		errs = append(errs, st.read(d)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newSimulator(st.world, st.faults, st.limits, st.seed), nil
}

// stanza is what the plugin's lines say.
type stanza struct {
	world  *World // nil after a mistake in it
	faults faults
	limits limits
	seed   uint64
}

func (st *stanza) read(d *caddyfile.Dispenser) []error {
	var errs []error
	if err := st.readWorld(d.RemainingArgs(), filepath.Dir(d.File())); err != nil {
		errs = append(errs, d.Errf("%v", err))
	}
	properties, seen := st.properties(), make(map[string]bool)
	for d.NextBlock() {
		key := d.Val()
		p, ok := properties[key]
		switch args := d.RemainingArgs(); {
		case !ok:
			errs = append(errs, d.Errf("unknown property '%s'", key))
		case seen[key] && !p.repeats:
			errs = append(errs, d.Errf("found a second '%s', expected one", key))
		default:
			if err := p.set(args); err != nil {
				errs = append(errs, d.Errf("%s: %v", key, err))
			}
		}
		seen[key] = true
	}
	return errs
}

// readWorld loads the world that a file in the Corefile's directory holds, or
// the one that is built in.
func (st *stanza) readWorld(args []string, directory string) (err error) {
	switch {
	case len(args) == 0:
		st.world, err = DemoWorld()
	case len(args) > 1:
		err = fmt.Errorf("found %d arguments, expected one world file at most", len(args))
	case filepath.IsAbs(args[0]):
		st.world, err = LoadWorld(args[0])
	default:
		st.world, err = LoadWorld(filepath.Join(directory, args[0]))
	}
	return err
}

// property is one kind of line in the block.
type property struct {
	set     func(args []string) error
	repeats bool
}

func (st *stanza) properties() map[string]property {
	return map[string]property{
		"dead":     {set: st.setDead},
		"latency":  {set: st.setLatency},
		"limit":    {set: st.setLimit},
		"link":     {set: st.link, repeats: true},
		"loss":     {set: func(args []string) error { return percent(args, &st.faults.loss) }},
		"seed":     {set: st.setSeed},
		"servfail": {set: func(args []string) error { return percent(args, &st.faults.servfail) }},
		"unlink":   {set: st.unlink, repeats: true},
	}
}

func (st *stanza) setDead(args []string) error {
	st.faults.dead = true
	return count(args, 0, 0)
}

func (st *stanza) setLatency(args []string) error {
	if err := count(args, 1, 2); err != nil {
		return err
	}
	for i, into := range []*time.Duration{&st.faults.latency, &st.faults.jitter}[:len(args)] {
		value, err := time.ParseDuration(args[i])
		if err != nil || value < 0 || value > maxLatency {
			return fmt.Errorf("found '%s', expected a duration from 0s to %s", args[i], maxLatency)
		}
		*into = value
	}
	return nil
}

func (st *stanza) setLimit(args []string) error {
	if err := count(args, 1, 2); err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "off":
		return nil
	case len(args) == 1 && args[0] == "azure":
		st.limits = azureLimits()
		return nil
	case len(args) == 1:
		return fmt.Errorf("found '%s', expected off, azure or two numbers", args[0])
	}
	var q quota
	for i, into := range []*int{&q.perSecond, &q.outstanding} {
		value, err := strconv.ParseUint(args[i], 10, 31)
		if err != nil {
			return fmt.Errorf("found '%s', expected a whole number", args[i])
		}
		*into = int(value)
	}
	st.limits = limits{machine: q, endpoint: q}
	return nil
}

func (st *stanza) setSeed(args []string) (err error) {
	if err := count(args, 1, 1); err != nil {
		return err
	}
	if st.seed, err = strconv.ParseUint(args[0], 10, 64); err != nil {
		return fmt.Errorf("found '%s', expected a whole number", args[0])
	}
	return nil
}

func (st *stanza) unlink(args []string) error {
	if err := count(args, 2, 2); err != nil || st.world == nil {
		return err
	}
	zone, err := domain(args[1])
	if err != nil {
		return err
	}
	return st.world.unlink(args[0], zone)
}

func (st *stanza) link(args []string) error {
	if err := count(args, 2, 3); err != nil || st.world == nil {
		return err
	}
	if len(args) == 3 && args[2] != "nxdomain_redirect" {
		return fmt.Errorf("found '%s', expected nxdomain_redirect", args[2])
	}
	zone, err := domain(args[1])
	if err != nil {
		return err
	}
	return st.world.link(args[0], zone, len(args) == 3)
}

// percent reads the only argument, a share from 0 to 100.
func percent(args []string, into *float64) error {
	if err := count(args, 1, 1); err != nil {
		return err
	}
	value, err := strconv.ParseFloat(args[0], 64)
	if err != nil || !(value >= 0 && value <= 100) {
		return fmt.Errorf("found '%s', expected a percentage from 0 to 100", args[0])
	}
	*into = value
	return nil
}

// count checks the number of arguments.
func count(args []string, least, most int) error {
	switch {
	case len(args) >= least && len(args) <= most:
		return nil
	case least == most:
		return fmt.Errorf("found %d arguments, expected %d", len(args), least)
	}
	return fmt.Errorf("found %d arguments, expected %d to %d", len(args), least, most)
}
