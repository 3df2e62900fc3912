package privatelink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

const pluginName = "privatelink"

func init() { plugin.Register(pluginName, setup) }

// setup wires a stanza into its server block. It starts nothing: a mistake in
// another stanza must leave no trace.
func setup(c *caddy.Controller) error {
	stanza := c.Dispenser
	parsed, err := parse(&c.Dispenser)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	server := dnsserver.GetConfig(c)
	interfaces, err := interfaceAddresses()
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	if err := parsed.checkOwnAddresses(server.ListenHosts, server.Port, interfaces); err != nil {
		return plugin.Error(pluginName, err)
	}
	built, err := build(parsed, handover)
	if err != nil {
		return plugin.Error(pluginName, err)
	}

	handover.begin(built.lease, func() {})
	handler := &Handler{}
	handler.waiting.total = &handover.handedOver
	handler.put(built, registered())
	run := &running{
		stanza: stanza, config: parsed, handler: handler, shared: handover,
		log: clog.NewWithPlugin(pluginName), stamps: stampsOf(parsed.files), stopWatching: make(chan struct{}),
		listening: make(chan struct{}, 1),
	}
	server.AllowOpcode(dns.OpcodeUpdate)
	server.UDPDecorateWriterFunc = func(started *dnsserver.Server) dns.DecorateWriter {
		run.standInFront(started, server)
		run.listens()
		return nil
	}
	server.AddPlugin(func(plugin.Handler) plugin.Handler { return handler })
	c.OnFirstStartup(func() error { return checkAddressFree(server) })
	c.OnStartup(func() error { return checkNeighbours(server, parsed.where) })
	c.OnStartup(run.start)
	c.OnRestart(run.beginReload)
	c.OnRestartFailed(run.reloadFailed)
	c.OnShutdown(run.stop)
	c.OnFinalShutdown(run.save)
	return nil
}

// running is a stanza's life, from the start of its server to the end.
type running struct {
	// stanza is the unread text, to be parsed again when a file changes.
	stanza  caddyfile.Dispenser
	config  *config
	handler *Handler
	shared  *slot
	log     clog.P

	stamps       map[string]fileStamp
	stopWatching chan struct{}
	watching     sync.WaitGroup
	// listening is told that a socket is open, to which a question may come back.
	listening chan struct{}
	// reloading says that the end of this stanza is not that of the process.
	reloading bool
}

func (r *running) start() error {
	if err := r.prepareState(); err != nil {
		return plugin.Error(pluginName, err)
	}
	current := r.handler.current.Load()
	current.service.policy.Chains = r.shared.chaseMemory(r.restore, rand.Uint64(), time.Now())
	r.restoreOverrides()
	if directory := r.config.stateDirectory(); directory != "" {
		if err := r.shared.startAdmin(directory); err != nil {
			return plugin.Error(pluginName, fmt.Errorf("%s: %w", r.config.state.where, err))
		}
	}
	log, err := r.config.openQuerylog(r.tellLogFailure)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	// From here on nothing of this stanza can fail; what another one's failure undoes
	// is told to begin.
	answers, restoreCache := r.shared.sizeCache(current.service.lease, time.Now())
	if answers != current.service.cache {
		current.service.cache = answers
	}
	r.restoreAnswers(answers)
	if log != nil {
		r.handler.log = log
	}
	current.metrics.watchLog(log)
	config := current.metrics.collectors.config
	config.watch(r.handler)
	notInForce := config.begins(time.Now())
	r.watching.Go(func() { r.watch(r.stopWatching) })
	r.watching.Go(func() { r.watchLoops(r.stopWatching) })
	r.watching.Go(func() { r.watchLinks(r.stopWatching) })
	r.shared.begin(current.service.lease, func() {
		notInForce()
		restoreCache()
		r.endWatchAndLog()
		r.shared.leaveDirectories(r)
	})
	r.shared.enlist(r.handler, r.config.where)
	r.log.Infof("%s", r.config.summary(len(current.service.catalog.Namespaces())))
	return nil
}

// prepareState sees at the start, not at the end, that the state can be written, and
// that no other process does.
func (r *running) prepareState() error {
	directory := r.config.stateDirectory()
	if directory == "" {
		return nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("%s: making the state directory: %w", r.config.state.where, err)
	}
	probe, err := os.CreateTemp(directory, "writable")
	if err != nil {
		return fmt.Errorf("%s: found a state directory that cannot be written: %w", r.config.state.where, err)
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return err
	}
	if err := r.shared.holdDirectory(directory, r); err != nil {
		return fmt.Errorf("%s: %w", r.config.state.where, err)
	}
	// Whatever fails now, a failed reload leaves the directory.
	r.shared.begin(r.handler.current.Load().service.lease, func() { r.shared.leaveDirectories(r) })
	return nil
}

func (r *running) restore(now time.Time) *policy.ChaseMemory {
	directory := r.config.stateDirectory()
	if directory == "" {
		return nil
	}
	memory, err := restoreChases(directory, now)
	if err != nil {
		r.log.Warningf("starting without it: %s", err)
	}
	return memory
}

// restoreAnswers fills the cache of a process that has just started, once: after a
// reload the cache is there already, and newer than any file.
func (r *running) restoreAnswers(answers *cache.Cache) {
	directory := r.config.stateDirectory()
	if directory == "" || !r.shared.beginRestore() {
		return
	}
	count, err := restoreAnswers(directory, answers, time.Now())
	if err != nil {
		r.log.Warningf("starting without them: %s", err)
	}
	if count > 0 {
		r.log.Infof("%d kept answers are there again", count)
	}
}

func (r *running) beginReload() error {
	r.reloading = true
	r.shared.commit()
	return nil
}

func (r *running) reloadFailed() error {
	r.reloading = false
	r.shared.abandon()
	r.handler.current.Load().metrics.reloaded(false)
	return nil
}

// stop runs when the server answers no more, at a reload as at the end.
func (r *running) stop() error {
	r.shared.endFronts(r.handler)
	r.endWatchAndLog()
	r.shared.release(r.handler.current.Load().service.lease)
	if r.reloading { // else save still writes
		r.shared.leaveDirectories(r)
	}
	return nil
}

func (r *running) endWatchAndLog() {
	close(r.stopWatching)
	r.watching.Wait()
	r.handler.current.Load().metrics.collectors.config.forget(r.handler)
	if r.handler.log == nil {
		return
	}
	if err := r.handler.log.Close(context.Background()); err != nil {
		r.log.Warningf("ending the query log: %s", err)
	}
	r.handler.current.Load().metrics.forgetLog(r.handler.log)
}

func (r *running) save() error {
	directory, current := r.config.stateDirectory(), r.handler.current.Load().service
	if directory == "" {
		return nil
	}
	defer r.shared.leaveDirectories(r)
	return errors.Join(
		saveChases(directory, current.policy.Chains, time.Now()),
		r.shared.saveAnswers(directory, current.cache),
		r.shared.stopAdmin(),
	)
}

// tellLogFailure says that a destination of the query log fails, or works again.
func (r *running) tellLogFailure(target string, err error) {
	if err != nil {
		r.log.Warningf("querylog %s fails, and its lines are dropped: %s", target, err)
		return
	}
	r.log.Infof("querylog %s works again", target)
}
