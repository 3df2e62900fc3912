package privatelink

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// networkShare is how many clients at their limits a network may have, unless the
// configuration says otherwise.
const networkShare = 10

// parseRateLimit reads how many questions a second a client may send, and its network.
func parseRateLimit(parsed *config, where string, arguments []string) error {
	perClient, err := strconv.Atoi(arguments[0])
	limits := ratelimit.Limits{PerClient: perClient, PerNetwork: min(perClient*networkShare, ratelimit.MaxPerSecond)}
	if err != nil || perClient < 1 || perClient > ratelimit.MaxPerSecond {
		return fmt.Errorf("%s: found ratelimit %s, expected questions a second from one client, 1 to %d", where, arguments[0], ratelimit.MaxPerSecond)
	}
	for _, option := range arguments[1:] {
		written, known := strings.CutPrefix(option, "per-network=")
		limits.PerNetwork, err = strconv.Atoi(written)
		if !known || err != nil || limits.PerNetwork < perClient || limits.PerNetwork > ratelimit.MaxPerSecond {
			return fmt.Errorf("%s: found %q, expected per-network= and questions a second from a /%d or an IPv6 /%d, %d to %d", where, option, ratelimit.IPv4NetworkBits, ratelimit.IPv6NetworkBits, perClient, ratelimit.MaxPerSecond)
		}
	}
	parsed.limits = limits
	return nil
}

// maxSecretFile is more than two secrets with their comments take.
const maxSecretFile = 64 << 10

// parseCookies reads the file with the secrets of DNS cookies.
func parseCookies(parsed *config, where string, arguments []string) error {
	var file located[string]
	if err := parseOnce(&file, "cookies", where, arguments); err != nil {
		return err
	}
	path := parsed.path(file.value)
	parsed.files, parsed.cookieFile = append(parsed.files, path), path
	opened, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: reading the secrets of cookies: %w", where, err)
	}
	defer func() { _ = opened.Close() }()
	text, err := io.ReadAll(io.LimitReader(opened, maxSecretFile+1))
	if err == nil && len(text) > maxSecretFile {
		err = fmt.Errorf("found more than %d bytes, expected a line with a secret, or two", maxSecretFile)
	}
	if err != nil {
		return fmt.Errorf("%s: reading the secrets of cookies: %s: %w", where, path, err)
	}
	parsed.cookies, err = readSecrets(path, string(text))
	return err
}

// readSecrets reads the secret that cookies are made with and, on a second line, another
// that they may be made with. Its mistakes do not repeat what they found: it is a secret.
func readSecrets(path, text string) (*wire.Cookies, error) {
	var secrets [][16]byte
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		octets, err := hex.DecodeString(line)
		if err != nil || len(octets) != len(wire.Cookies{}.Secret) {
			return nil, fmt.Errorf("%s:%d: found %d characters, expected a secret of 32 hexadecimal digits, such as \"openssl rand -hex 16\" makes", path, number+1, len(line))
		}
		secrets = append(secrets, [16]byte(octets))
	}
	switch {
	case len(secrets) == 0:
		return nil, errors.New(path + ": found no secret, expected one of 32 hexadecimal digits, such as \"openssl rand -hex 16\" makes")
	case len(secrets) == 1:
		return &wire.Cookies{Secret: secrets[0]}, nil
	case len(secrets) == 2 && secrets[0] == secrets[1]:
		return nil, fmt.Errorf("%s: found two equal secrets, expected the second to be another one, or only one", path)
	case len(secrets) > 2:
		return nil, fmt.Errorf("%s: found %d secrets, expected the one that cookies are made with and at most one other", path, len(secrets))
	}
	return &wire.Cookies{Secret: secrets[0], Previous: &secrets[1]}, nil
}
