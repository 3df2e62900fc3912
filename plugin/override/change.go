package override

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// The types of a Change.
const (
	TypeA     = "A"
	TypeAAAA  = "AAAA"
	TypeCNAME = "CNAME"
	// TypeResolve asks an upstream group in place of the name's route.
	TypeResolve = "resolve"
)

// Bounds of an override.
const (
	// DefaultDuration is how long an override is in force where nobody said.
	DefaultDuration = 4 * time.Hour
	// MinDuration and MaxDuration bound it. What is needed for longer than a month
	// belongs into DNS or into the configuration.
	MinDuration = time.Minute
	MaxDuration = 30 * 24 * time.Hour
	// MaxAddresses bounds the addresses of one type.
	MaxAddresses = 16
	// MaxReason and MaxWho are in bytes. They go out with every answer, whose
	// extended error is to be told whole.
	MaxReason = 128
	MaxWho    = 64
	// maxGroup is the longest name of an upstream group, in bytes.
	maxGroup = 128
)

// ErrInvalid says that an override is not well formed. It is wrapped with every
// mistake that was found.
var ErrInvalid = errors.New("not a valid override")

// Change is what an operator asks for.
type Change struct {
	// Name is any spelling of the exact name, with or without the dot at its end.
	Name string
	// Type is TypeA, TypeAAAA, TypeCNAME or TypeResolve, in any case.
	Type string
	// Values are the addresses, the one target, or the one upstream group.
	Values []string
	// For is how long, MinDuration to MaxDuration; 0 is DefaultDuration.
	For time.Duration
	// Reason and Who must not be empty.
	Reason string
	Who    string
}

// override reads the change. The error wraps ErrInvalid and tells all mistakes.
func (c Change) override(now time.Time) (*Override, error) {
	duration := c.For
	if duration == 0 {
		duration = DefaultDuration
	}
	created := now.UTC().Truncate(time.Second)
	o := &Override{
		Name: dns.CanonicalName(c.Name), Reason: strings.TrimSpace(c.Reason), Who: strings.TrimSpace(c.Who),
		Created: created, Expires: created.Add(duration.Truncate(time.Second)),
	}
	o.lasts(now)
	err := c.readValues(o)
	if err == nil {
		err = o.checkAnswer()
	}
	if err = errors.Join(err, o.checkRest()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return o, nil
}

// readValues sets what the type and the values say.
func (c Change) readValues(o *Override) error {
	var err error
	switch {
	case len(c.Values) == 0:
		return errors.New("found no value, expected addresses, the target of a CNAME, or an upstream group")
	case strings.EqualFold(c.Type, TypeA):
		o.A, err = parseAddresses(c.Values)
	case strings.EqualFold(c.Type, TypeAAAA):
		o.AAAA, err = parseAddresses(c.Values)
	case !strings.EqualFold(c.Type, TypeCNAME) && !strings.EqualFold(c.Type, TypeResolve):
		return fmt.Errorf("found type %q, expected one of %s, %s, %s, %s", c.Type, TypeA, TypeAAAA, TypeCNAME, TypeResolve)
	case len(c.Values) > 1:
		return fmt.Errorf("found %d values for %s, expected one", len(c.Values), c.Type)
	case strings.EqualFold(c.Type, TypeCNAME):
		o.CNAME = dns.CanonicalName(c.Values[0])
	default:
		o.Group = c.Values[0]
	}
	return err
}

func parseAddresses(written []string) ([]netip.Addr, error) {
	var addresses []netip.Addr
	var mistakes []error
	for _, one := range written {
		address, err := netip.ParseAddr(one)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("found %q, expected an IP address", one))
		}
		addresses = append(addresses, address)
	}
	return addresses, errors.Join(mistakes...)
}

// check tells every mistake in an override that has been read, from whatever source.
func (o *Override) check() error { return errors.Join(o.checkAnswer(), o.checkRest()) }

func (o *Override) checkAnswer() error {
	kinds := 0
	for _, given := range []bool{len(o.A)+len(o.AAAA) > 0, o.CNAME != "", o.Group != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("found %d kinds of answer, expected one of addresses, a CNAME and an upstream group", kinds)
	}
	switch {
	case o.Group != "":
		return checkText("upstream group", o.Group, maxGroup)
	case o.CNAME == "":
		return errors.Join(checkAddresses(TypeA, o.A, netip.Addr.Is4), checkAddresses(TypeAAAA, o.AAAA, isIPv6))
	case o.CNAME == o.Name:
		return fmt.Errorf("found a CNAME from %s to itself", o.Name)
	}
	return checkName(o.CNAME)
}

func (o *Override) checkRest() error {
	return errors.Join(
		checkName(o.Name),
		checkText("reason", o.Reason, MaxReason),
		checkText("name of who made it", o.Who, MaxWho),
		o.checkTimes(),
	)
}

// checkName wants a name that a host can have: what else an operator writes is a
// slip of the hand. The name is lower case and fully qualified.
func checkName(name string) error {
	if _, valid := dns.IsDomainName(name); !valid || name == "." || name == "" || dns.CanonicalName(name) != name {
		return fmt.Errorf("found name %q, expected one such as db1.database.windows.net, with labels of 1 to 63 characters", name)
	}
	for _, r := range name {
		switch {
		case strings.ContainsRune(nameCharacters, r):
		case r == '*':
			return fmt.Errorf("found name %q: an override is for one exact name, wildcards are not supported", name)
		case r > unicode.MaxASCII:
			return fmt.Errorf("found %q in the name %q: write it in its ASCII form, xn--…", r, name)
		default:
			return fmt.Errorf("found %q in the name %q, expected letters, digits, '-' and '_'", r, name)
		}
	}
	return nil
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_."

func isIPv6(address netip.Addr) bool {
	return address.Is6() && !address.Is4In6() && address.Zone() == ""
}

func checkAddresses(rrtype string, addresses []netip.Addr, fits func(netip.Addr) bool) error {
	var mistakes []error
	if len(addresses) > MaxAddresses {
		return fmt.Errorf("found %d addresses of type %s, expected at most %d", len(addresses), rrtype, MaxAddresses)
	}
	for index, address := range addresses {
		if !fits(address) {
			mistakes = append(mistakes, fmt.Errorf("found %s, which is no address for a record of type %s", address, rrtype))
		}
		if slices.Contains(addresses[:index], address) {
			mistakes = append(mistakes, fmt.Errorf("found %s twice", address))
		}
	}
	return errors.Join(mistakes...)
}

// checkText wants one printable line: it goes into the log and to every client.
func checkText(what, text string, maximum int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return fmt.Errorf("found no %s, expected one", what)
	case len(text) > maximum:
		return fmt.Errorf("found a %s of %d bytes, expected at most %d", what, len(text), maximum)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("found the %s %q, expected one line of printable characters", what, text)
	}
	return nil
}

func (o *Override) checkTimes() error {
	duration := o.Expires.Sub(o.Created)
	if duration < MinDuration || duration > MaxDuration {
		return fmt.Errorf("found a duration of %s, expected %s to %s (30 days)", duration, MinDuration, MaxDuration)
	}
	return nil
}
