package privatelink

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	coreparse "github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// azureAssetTag is the chassis asset tag of every virtual machine in Azure, and of
// nothing else; cloud-init tells Azure by it, too.
const azureAssetTag = "7783-7084-3265-9085-8269-3286-77"

// Machine is what a configuration is held against beside itself.
type Machine struct {
	// AssetTag is the DMI chassis asset tag, empty where it cannot be told.
	AssetTag string
	// Addresses are those of the machine's interfaces.
	Addresses []netip.Addr
	// Source returns the address from which a server would be asked; the zero value
	// where there is no way to it. Nil is nobody to ask.
	Source func(server netip.AddrPort) netip.Addr
}

// InAzure reports whether the machine is a virtual machine in Azure; it is not known
// where there is no asset tag.
func (m *Machine) InAzure() (inside, known bool) {
	return m.AssetTag == azureAssetTag, m.AssetTag != ""
}

// ThisMachine looks at the machine that the program runs on. It sends nothing.
func ThisMachine() (Machine, error) {
	addresses, err := interfaceAddresses()
	if err != nil {
		return Machine{}, err
	}
	tag, _ := os.ReadFile("/sys/class/dmi/id/chassis_asset_tag") // without it nothing is said of Azure
	return Machine{AssetTag: strings.TrimSpace(string(tag)), Addresses: addresses, Source: sourceFor}, nil
}

// sourceFor is the address that the system would send from. Connecting a UDP socket
// sends nothing.
func sourceFor(server netip.AddrPort) netip.Addr {
	socket, err := net.Dial("udp", server.String())
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = socket.Close() }()
	return addrPort(socket.LocalAddr()).Addr()
}

// Remark is a finding about a configuration.
type Remark struct {
	Severity Severity `json:"severity"`
	// Where is its place, "Corefile:12".
	Where string `json:"where"`
	// Code names the finding for programs, such as "no-budget".
	Code string `json:"code"`
	Text string `json:"text"`
}

// linted is what the linters look at: a stanza with its catalog and routes.
type linted struct {
	*Stanza
	machine *Machine
	service *service
	anchors []string
	remarks []Remark
}

func (l *linted) warn(where, code, format string, arguments ...any) {
	l.remarks = append(l.remarks, Remark{Warning, where, code, fmt.Sprintf(format, arguments...)})
}

func (l *linted) fault(code string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			l.fault(code, one)
		}
		return
	}
	text := strings.TrimPrefix(err.Error(), "plugin/privatelink: ")
	where, rest, cut := strings.Cut(text, ": ")
	if !cut || !strings.Contains(where, ":") {
		where, rest = l.config.where, text
	}
	l.remarks = append(l.remarks, Remark{Fault, where, code, rest})
}

// linters are run in this order; the remarks are sorted by severity and place afterwards.
var linters = []func(*linted){
	lintOwnAddresses, lintState, lintPlaces, lintCookies, lintBudgets, lintAzure, lintResolvers,
	lintFallbacks, lintLeaks, lintBlindGroups, lintPrivatelinkRoutes, lintBroadRoutes, lintIdleRoutes,
	lintMustBePrivate, lintClients,
}

// Lint finds what is legal in stanzas of one Corefile, and wrong: and the mistakes that
// only show when a server starts. The remarks are sorted, faults first.
func Lint(stanzas []*Stanza, machine Machine) ([]Remark, error) {
	var remarks []Remark
	for _, stanza := range stanzas {
		opened, err := stanza.Open()
		if err != nil {
			return nil, err
		}
		l := &linted{Stanza: stanza, machine: &machine, service: opened.service, anchors: opened.service.anchors()}
		for _, lint := range linters {
			lint(l)
		}
		opened.Close()
		remarks = append(remarks, l.remarks...)
	}
	remarks = append(remarks, lintCircles(stanzas, &machine)...)
	slices.SortStableFunc(remarks, Remark.Compare)
	return remarks, nil
}

// Compare sorts faults before warnings, and each by place. It is for slices.SortFunc.
func (r Remark) Compare(other Remark) int {
	file, line := r.place()
	otherFile, otherLine := other.place()
	return cmp.Or(strings.Compare(string(r.Severity), string(other.Severity)), strings.Compare(file, otherFile), cmp.Compare(line, otherLine))
}

// place takes "Corefile:12" apart.
func (r Remark) place() (file string, line int) {
	colon := strings.LastIndex(r.Where, ":")
	if colon < 0 {
		return r.Where, 0
	}
	line, _ = strconv.Atoi(r.Where[colon+1:])
	return r.Where[:colon], line
}

// ports are those that the stanza's server block listens on.
func (s *Stanza) ports() []string {
	var ports []string
	for _, key := range s.keys {
		scheme, address := coreparse.Transport(key)
		port := map[string]string{transport.DNS: transport.Port, transport.TLS: transport.TLSPort}[scheme]
		if index := strings.LastIndex(address, ":"); index >= 0 {
			port = address[index+1:]
		}
		if port != "" && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

// lintOwnAddresses finds upstreams that are the server itself.
func lintOwnAddresses(l *linted) {
	for _, port := range l.ports() {
		l.fault("own-address", l.config.checkOwnAddresses(l.hosts, port, l.machine.Addresses))
	}
}

// lintState asks for a place to keep what must survive a restart.
func lintState(l *linted) {
	if l.config.state.value == "" {
		l.warn(l.config.where, "no-state", "there is no \"state DIRECTORY\": a restart forgets who is chasing a chain and every kept answer, and neither overrides nor the admin socket exist")
	}
}

// lintBudgets asks for a bound where more than it is dropped in silence.
func lintBudgets(l *linted) {
	for _, name := range l.config.order {
		group := l.config.groups[name]
		if group.has(azureDNS) && group.budget == (upstream.Budget{}) {
			l.warn(group.where, "no-budget", "upstream %s is %s, which drops all above 1,000 questions a second in silence: add budget=azure", name, azureDNS)
		}
	}
}

func (g *groupConfig) has(address netip.Addr) bool {
	return slices.ContainsFunc(g.endpoints(), func(server endpoint) bool { return server.address.Addr() == address })
}

// lintAzure finds the address that only answers inside a virtual network.
func lintAzure(l *linted) {
	inside, known := l.machine.InAzure()
	if inside || !known {
		return
	}
	for _, name := range l.config.order {
		if group := l.config.groups[name]; group.has(azureDNS) {
			l.warn(group.where, "not-in-azure", "upstream %s is %s, which answers inside a virtual network only, and this machine is not in Azure (chassis asset tag %q): ask a server in the hub, or a Private Resolver's inbound endpoint", name, azureDNS, l.machine.AssetTag)
		}
	}
}

// rfc1918 are the sources that a Private Resolver is known to serve.
var rfc1918 = verdict.Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}

// lintResolvers finds Private Resolvers that are asked from where they do not answer.
func lintResolvers(l *linted) {
	for _, name := range l.config.order {
		group := l.config.groups[name]
		if group.budget != upstream.Resolver() || l.machine.Source == nil {
			continue
		}
		for _, server := range group.endpoints() {
			source := l.machine.Source(server.address)
			if source.IsValid() && !source.IsLoopback() && !rfc1918.Contain(source) {
				l.warn(group.where, "resolver-source", "upstream %s (%s) is asked from %s: a Private Resolver's inbound endpoint is known not to answer sources outside 10/8, 172.16/12 and 192.168/16", name, server, source)
			}
		}
	}
}

// lintCircles finds stanzas of one Corefile that ask each other.
func lintCircles(stanzas []*Stanza, machine *Machine) []Remark {
	asks := map[*Stanza][]*Stanza{}
	for _, asking := range stanzas {
		for _, asked := range stanzas {
			if asking != asked && asking.asks(asked, machine) {
				asks[asking] = append(asks[asking], asked)
			}
		}
	}
	var remarks []Remark
	for _, first := range stanzas {
		if slices.Contains(asks[first], first) || !reaches(asks, first, first, map[*Stanza]bool{}) {
			continue
		}
		remarks = append(remarks, Remark{Warning, first.config.where, "circle", "upstreams of this stanza and of another in this file lead back here: a name that both route to each other runs in circles"})
	}
	return remarks
}

// asks reports whether an upstream of a stanza is an address that another listens on.
func (s *Stanza) asks(other *Stanza, machine *Machine) bool {
	for _, port := range other.ports() {
		if s.config.checkOwnAddresses(other.hosts, port, machine.Addresses) != nil {
			return true
		}
	}
	return false
}

func reaches(asks map[*Stanza][]*Stanza, from, target *Stanza, seen map[*Stanza]bool) bool {
	for _, next := range asks[from] {
		if next == target {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(asks, next, target, seen) {
				return true
			}
		}
	}
	return false
}

// MistakesOf takes an error of ReadStanzas apart: one remark for each mistake.
func MistakesOf(err error) []Remark {
	l := &linted{Stanza: &Stanza{config: &config{}}}
	for line := range strings.Lines(err.Error()) {
		l.fault("mistake", errors.New(strings.TrimSpace(line)))
	}
	return l.remarks
}

// fallbacks are the groups that a route falls back to, by the option that names them.
func (r *routeConfig) fallbacks() map[string]string {
	written := map[string]string{"missing": r.missing, "outage": r.outage}
	maps.DeleteFunc(written, func(_, group string) bool { return group == "" })
	return written
}
