package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// examineServer sees whether the server runs.
func (c *checkup) examineServer(context.Context) {
	if c.admin.state == "" {
		c.add(skipped, "server", "", "without \"state DIRECTORY\" nobody can ask the running server", "")
		return
	}
	var stats cache.Stats
	switch _, err := c.admin.do(io.Discard, http.MethodGet, "/cache/stats", &stats); {
	case errors.Is(err, fs.ErrPermission):
		c.forbidden = true
		c.add(skipped, "server", "", "only root and the user that the server runs as may ask it: what it knows is left out", "run doctor with sudo")
		return
	case err != nil:
		c.add(skipped, "server", "", "it does not run: nobody answers in the state directory "+c.admin.state, "")
		return
	}
	c.running = true
	c.add(privatelink.Fine, "server", "", fmt.Sprintf("runs, with %d answers kept", stats.Entries), "")
}

// nearlySpent is the share of a budget, in percent, from which on a burst is too much.
const nearlySpent = 80

// examineBudget compares what each server is sent with what it may be.
func (c *checkup) examineBudget(context.Context) {
	if !c.running {
		c.add(skipped, "budget", "", "only the running server knows what it spends", "")
		return
	}
	var states []privatelink.UpstreamState
	if _, err := c.admin.do(io.Discard, http.MethodGet, "/upstreams", &states); err != nil {
		c.add(skipped, "budget", "", err.Error(), "")
		return
	}
	for _, server := range c.stanza.Servers() {
		for _, state := range states {
			if state.Server == server.Written {
				c.tellBudget(server, state)
			}
		}
	}
}

func (c *checkup) tellBudget(server privatelink.UpstreamServer, state privatelink.UpstreamState) {
	subject := server.Group + " " + server.Written
	next := "the query log tells who asks so much; more servers in the group, or longer lives in caches downstream, spread it"
	if state.State == "down" && !server.Fallback {
		c.add(privatelink.Fault, "budget", subject, "the running server holds it for down since "+state.Since.Format("15:04:05"), "see what is said of it above")
	}
	switch budget := server.Budget.PerSecond; {
	case budget == 0:
		c.add(privatelink.Fine, "budget", subject, fmt.Sprintf("%d questions a second, without a limit", state.PerSecond), "")
	case state.Waiting > 0 || state.PerSecond*100 >= budget*95:
		c.add(privatelink.Fault, "budget", subject, fmt.Sprintf("the budget is spent: %d of %d questions a second, %d wait", state.PerSecond, budget, state.Waiting), next)
	case state.Refused > 0:
		c.add(privatelink.Warning, "budget", subject, fmt.Sprintf("%d questions were not sent for want of budget since the start; now %d of %d a second", state.Refused, state.PerSecond, budget), next)
	case state.PerSecond*100 >= budget*nearlySpent:
		c.add(privatelink.Warning, "budget", subject, fmt.Sprintf("%d of %d questions a second", state.PerSecond, budget), next)
	default:
		c.add(privatelink.Fine, "budget", subject, fmt.Sprintf("%d of %d questions a second", state.PerSecond, budget), "")
	}
}

// examineOverrides recalls what an operator put in the place of DNS.
func (c *checkup) examineOverrides(context.Context) {
	if !c.running {
		return
	}
	var overrides []*override.Override
	if _, err := c.admin.do(io.Discard, http.MethodGet, "/overrides", &overrides); err != nil || len(overrides) == 0 {
		return
	}
	var names []string
	for _, each := range overrides {
		names = append(names, bareName(each.Name))
	}
	c.add(privatelink.Warning, "overrides", "", plural(len(names), "override")+" in force: "+strings.Join(names, ", "), "privatelink-dns override list tells until when, and why")
}

// examineDownstream asks this server as a client would.
func (c *checkup) examineDownstream(ctx context.Context) {
	if !c.running {
		c.add(skipped, "downstream view", "", "the server does not run, or cannot be asked whether it does", "")
		return
	}
	hosts, ports := c.stanza.Listens()
	for _, host := range hosts {
		address, err := netip.ParseAddr(host)
		if err != nil || address.IsUnspecified() {
			address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		for _, port := range ports {
			server, err := netip.ParseAddrPort(netip.AddrPortFrom(address, 0).Addr().String() + ":" + port)
			if address.Is6() {
				server, err = netip.ParseAddrPort("[" + address.String() + "]:" + port)
			}
			if err == nil {
				c.askAsClient(ctx, server)
			}
		}
	}
}

func (c *checkup) askAsClient(ctx context.Context, server netip.AddrPort) {
	sample := c.opened.SampleName()
	name := bareName(sample)
	for _, network := range []string{"udp", "tcp"} {
		subject := network + " " + server.String()
		got := probe{network: network, name: sample, qtype: dns.TypeA, edns: true}.put(ctx, server)
		switch {
		case got.silent():
			c.add(privatelink.Fault, "downstream view", subject, got.why(), "see the server's log, and that no firewall on this machine is in the way")
		case got.reply.Rcode == dns.RcodeRefused:
			c.add(privatelink.Warning, "downstream view", subject, "REFUSED for "+name+saidError(got.reply), "this machine may not be among the clients; ask from one that is")
		case got.fails():
			c.add(privatelink.Fault, "downstream view", subject, got.rcode()+" for "+name+saidError(got.reply), "privatelink-dns explain "+name+" tells why")
		default:
			c.add(privatelink.Fine, "downstream view", subject, fmt.Sprintf("%s for %s in %.1f ms", got.rcode(), name, got.took.Seconds()*1000), "")
		}
	}
}

// saidError is the extended error of a reply.
func saidError(reply *dns.Msg) string {
	options := reply.IsEdns0()
	if options == nil {
		return ""
	}
	for _, option := range options.Option {
		if ede, is := option.(*dns.EDNS0_EDE); is {
			return ": " + ede.ExtraText
		}
	}
	return ""
}
