package privatelink

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// querylogConfig is one destination of the query log as it was written.
type querylogConfig struct {
	// target is stdout, a file, a URL of dnstap or azure-monitor.
	target, where string
	filter        querylog.Filter
	client        querylog.ClientPrivacy
	// keyFile holds the key of hashed clients, in hexadecimal.
	keyFile string
	file    querylog.FileOptions
	azure   querylog.AzureMonitorOptions
}

// Kinds of destinations.
const (
	toStandardOutput = "stdout"
	toAzureMonitor   = "azure-monitor"
	dnstapPrefix     = "dnstap+"
	toFile           = "file"
	toDnstap         = "dnstap"
)

// kind tells the destination's kind from its target.
func (q *querylogConfig) kind() string {
	switch {
	case q.target == toStandardOutput, q.target == toAzureMonitor:
		return q.target
	case strings.HasPrefix(q.target, dnstapPrefix):
		return toDnstap
	}
	return toFile
}

// querylogOptions are the options of a querylog line: the kind of destination that
// takes each, empty for all, and what it does.
var querylogOptions = map[string]struct {
	kind string
	set  func(*querylogConfig, string) error
}{
	"sample":   {"", func(q *querylogConfig, value string) error { return setWhole(&q.filter.SampleOneIn, value) }},
	"slower":   {"", func(q *querylogConfig, value string) error { return setDuration(&q.filter.SlowerThan, value) }},
	"names":    {"", setNames},
	"verdicts": {"", setVerdicts},
	"client":   {"", setClientPrivacy},
	"size":     {toFile, setSize},
	"every":    {toFile, func(q *querylogConfig, value string) error { return setDuration(&q.file.RotateEvery, value) }},
	"age":      {toFile, func(q *querylogConfig, value string) error { return setDuration(&q.file.MaxAge, value) }},
	"files":    {toFile, func(q *querylogConfig, value string) error { return setWhole(&q.file.MaxFiles, value) }},
	"compress": {toFile, func(q *querylogConfig, value string) error { q.file.Compression = value; return nil }},
	"endpoint": {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Endpoint = value; return nil }},
	"rule":     {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.RuleID = value; return nil }},
	"stream":   {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Stream = value; return nil }},
	"cloud":    {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Cloud = value; return nil }},
	"identity": {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Identity.Kind = value; return nil }},
	"tenant":   {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Identity.TenantID = value; return nil }},
	"app":      {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Identity.ClientID = value; return nil }},
	"proof":    {toAzureMonitor, func(q *querylogConfig, value string) error { q.azure.Identity.File = value; return nil }},
}

// Rotated files that are kept where nothing is said, of 100 MiB each.
const keptLogFiles = 10

func parseQuerylog(parsed *config, where string, arguments []string) error {
	written := querylogConfig{target: arguments[0], where: where, file: querylog.FileOptions{MaxFiles: keptLogFiles}}
	written.azure.Stream = "Custom-PrivatelinkDnsQueries"
	if written.kind() == toFile && !strings.ContainsAny(written.target, "./") {
		return fmt.Errorf("%s: found querylog %s, expected stdout, a file such as query.log, dnstap+unix:///PATH, dnstap+tcp://HOST:PORT or azure-monitor; without the line there is no log", where, written.target)
	}
	for _, other := range parsed.querylogs {
		if other.target == written.target {
			return fmt.Errorf("%s: found a second querylog %s, expected one; the first is at %s", where, written.target, other.where)
		}
	}
	var mistakes []error
	for _, option := range arguments[1:] {
		if err := written.setOption(option); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", where, err))
		}
	}
	if err := written.check(); err != nil && len(mistakes) == 0 {
		mistakes = append(mistakes, fmt.Errorf("%s: querylog %s: %w", where, written.target, err))
	}
	parsed.querylogs = append(parsed.querylogs, written)
	return errors.Join(mistakes...)
}

// check finds what opening the destination would find wrong with what was written,
// without opening it.
func (q *querylogConfig) check() error {
	switch q.kind() {
	case toFile:
		return q.file.Check()
	case toAzureMonitor:
		options := q.azure // Check changes it
		return options.Check()
	case toDnstap:
		_, err := querylog.NewDnstap(q.dnstapOptions())
		return err
	}
	return nil
}

func (q *querylogConfig) dnstapOptions() querylog.DnstapOptions {
	network, address, _ := strings.Cut(strings.TrimPrefix(q.target, dnstapPrefix), "://")
	identity, _ := os.Hostname()
	return querylog.DnstapOptions{Network: network, Address: address, Messages: true, Extra: true, Identity: identity, Version: "privatelink-dns"}
}

func (q *querylogConfig) setOption(option string) error {
	key, value, _ := strings.Cut(option, "=")
	known, exists := querylogOptions[key]
	if !exists || value == "" || known.kind != "" && known.kind != q.kind() {
		return fmt.Errorf("found %q, expected one of %s, each with = and a value", option, strings.Join(optionsOf(q.kind()), ", "))
	}
	if err := known.set(q, value); err != nil {
		return fmt.Errorf("found %q, %w", option, err)
	}
	return nil
}

// optionsOf are the options that a kind of destination takes.
func optionsOf(kind string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(querylogOptions)), func(name string) bool {
		return querylogOptions[name].kind != "" && querylogOptions[name].kind != kind
	})
}

func setWhole(to *int, value string) error {
	number, err := strconv.Atoi(value)
	if err != nil || number < 1 || number > 1_000_000 {
		return errors.New("expected a whole number from 1 to 1000000")
	}
	*to = number
	return nil
}

func setDuration(to *time.Duration, value string) error {
	duration, err := time.ParseDuration(value)
	if err != nil || duration <= 0 {
		return errors.New("expected a duration such as 500ms or 24h")
	}
	*to = duration
	return nil
}

// setSize reads a file's size in MiB.
func setSize(q *querylogConfig, value string) error {
	number, err := strconv.Atoi(strings.TrimSuffix(value, "MiB"))
	if err != nil || number < 1 || number > 1<<20 || !strings.HasSuffix(value, "MiB") {
		return errors.New("expected a size such as 100MiB")
	}
	q.file.MaxSize = int64(number) << 20
	return nil
}

func setNames(q *querylogConfig, value string) error {
	for _, name := range strings.Split(value, ",") {
		if _, valid := dns.IsDomainName(name); !valid || name == "" {
			return errors.New("expected suffixes such as corp.example,database.windows.net")
		}
		q.filter.Names = append(q.filter.Names, dns.CanonicalName(name))
	}
	return nil
}

func setVerdicts(q *querylogConfig, value string) error {
	var known []string
	for _, one := range verdict.Verdicts() {
		known = append(known, one.String())
	}
	for _, name := range strings.Split(value, ",") {
		if !slices.Contains(known, name) {
			return fmt.Errorf("expected verdicts of %s", strings.Join(known, ", "))
		}
		q.filter.Verdicts = append(q.filter.Verdicts, name)
	}
	return nil
}

// clientPrivacies are the configuration's words for how clients are shown.
var clientPrivacies = map[string]querylog.ClientPrivacy{
	"shown": querylog.ClientShown, "truncated": querylog.ClientTruncated, "hidden": querylog.ClientHidden, "hashed": querylog.ClientHashed,
}

func setClientPrivacy(q *querylogConfig, value string) error {
	word, keyFile, _ := strings.Cut(value, ":")
	privacy, known := clientPrivacies[word]
	if !known || (privacy == querylog.ClientHashed) != (keyFile != "") {
		return errors.New("expected shown, truncated, hidden, or hashed:FILE with a key of 32 hexadecimal digits or more")
	}
	q.client, q.keyFile = privacy, keyFile
	return nil
}

// openQuerylog opens the destinations of the query log; nil where there are none.
// Changed is told when one begins to fail, and when it works again.
func (c *config) openQuerylog(changed func(target string, err error)) (*querylog.Log, error) {
	if len(c.querylogs) == 0 {
		return nil, nil
	}
	destinations := make([]querylog.Destination, 0, len(c.querylogs))
	for index := range c.querylogs {
		written := &c.querylogs[index]
		sink, err := c.openSink(written)
		if err != nil {
			return nil, fmt.Errorf("%s: opening the query log: %w", written.where, err)
		}
		key, err := c.privacyKey(written.keyFile)
		if err != nil {
			return nil, fmt.Errorf("%s: reading the key of hashed clients: %w", written.where, err)
		}
		destinations = append(destinations, querylog.Destination{
			Name: written.target, Sink: sink, Filter: written.filter, Client: written.client, PrivacyKey: key,
			Changed: func(err error) { changed(written.target, err) },
		})
	}
	return querylog.New(destinations...)
}

func (c *config) openSink(written *querylogConfig) (querylog.Sink, error) {
	switch written.kind() {
	case toStandardOutput:
		return querylog.NewStream(os.Stdout), nil
	case toDnstap:
		return querylog.NewDnstap(written.dnstapOptions())
	case toAzureMonitor:
		options := written.azure
		if directory := c.stateDirectory(); directory != "" {
			options.SpoolDirectory = filepath.Join(directory, "querylog-spool")
		}
		if options.Identity.File != "" {
			options.Identity.File = c.path(options.Identity.File)
		}
		return querylog.NewAzureMonitor(options)
	}
	options := written.file
	options.Path = c.path(written.target)
	return querylog.NewFile(options)
}

// privacyKey reads a key in hexadecimal; nil for no file.
func (c *config) privacyKey(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.path(file))
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(strings.TrimSpace(string(text)))
}
