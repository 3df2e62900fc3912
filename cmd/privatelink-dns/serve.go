package main

import (
	"errors"
	"log"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/spf13/cobra"
)

// serverType is the name under which CoreDNS registers with caddy.
const serverType = "dns"

func newServeCommand() *cobra.Command {
	var corefile string
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the DNS server",
		Long: "Run the DNS server from a Corefile until SIGTERM or SIGINT, which stop listening, finish what is in\n" +
			"flight and write what is kept. SIGHUP and SIGUSR1 reload the Corefile and every file it names; a\n" +
			"configuration with a mistake leaves the running one in force. The program's own log goes to stderr.",
		Example: "  privatelink-dns serve -c Corefile.example",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return serve(corefile)
		},
	}
	addCorefileFlag(command.Flags(), &corefile, "the Corefile to serve")
	return command
}

// serve runs the server until it is told to stop. It neither uses
// coremain.Run, which parses os.Args and traps signals by itself, nor starts
// caddy without a loader: the reload plugin would then replace a running
// server by CoreDNS's default Corefile.
func serve(corefile string) error {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	if os.Getenv("GOGC") == "" {
		// The cache is most of the memory and makes little garbage: a million kept
		// chains take 370 bytes each so, and 570 with Go's default of 100.
		debug.SetGCPercent(25)
	}
	// A quarter of a small heap is garbage after every few hundred questions: counted in
	// with memory that is never touched, and so takes none, it is some thousands.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)
	caddy.Quiet = true
	dnsserver.Quiet = true
	caddy.AppName = "privatelink-dns"
	caddy.AppVersion = version()
	if err := dnsserver.SetDirectives(directives()); err != nil {
		return err
	}
	source := &corefileSource{path: corefile}
	input, err := source.read()
	if err != nil {
		return err
	}
	caddy.RegisterCaddyfileLoader("file", source)

	// A channel each: a reload that takes long must not cost the signal to stop.
	stops, reloads := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(reloads, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(stops)
	defer signal.Stop(reloads)

	log.Printf("[INFO] privatelink-dns %s", version())
	instance, err := caddy.Start(input)
	if err != nil {
		return err
	}
	for _, server := range instance.Servers() {
		log.Printf("[INFO] serving on %s", server.Addr())
	}
	return waitForSignals(stops, reloads, source)
}

// waitForSignals reloads on SIGHUP and SIGUSR1 and returns after SIGTERM or
// SIGINT, when everything has been stopped and written.
func waitForSignals(stops, reloads <-chan os.Signal, source *corefileSource) error {
	for {
		select {
		case received := <-stops:
			log.Printf("[INFO] %s: stopping", received)
			return stop()
		case received := <-reloads:
			log.Printf("[INFO] %s: reloading %s", received, source.path)
			if err := reload(source); err != nil {
				log.Print("[ERROR] the running configuration stays in force")
			}
		}
	}
}

// reload puts the Corefile in force, or says in the log why not: caddy does so
// for what it starts, the source for what it reads.
func reload(source *corefileSource) error {
	input, err := source.Load(serverType)
	if err != nil {
		return err
	}
	instances := caddy.Instances()
	if len(instances) != 1 {
		// The reload plugin is starting another instance; that one reads the same file.
		log.Printf("[WARNING] another reload is under way, this one is left out")
		return nil
	}
	_, err = instances[0].Restart(input)
	return err
}

// stop ends every server before it runs the shutdown callbacks, so that the
// last answers still reach the query log.
func stop() error {
	running := append([]*caddy.Instance(nil), caddy.Instances()...)
	var failures []error
	for _, instance := range running {
		failures = append(failures, instance.Stop())
		failures = append(failures, instance.ShutdownCallbacks()...)
	}
	return errors.Join(failures...)
}
