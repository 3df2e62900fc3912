package logreport

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// decoded is a line as encoding/json reads it: whatever is not in the plain
// form, because a name has a quote in it or another program wrote it anew.
type decoded struct {
	Time             *string `json:"time"`
	Schema           int64   `json:"schema"`
	Sample           int64   `json:"sample"`
	ClientIP         string  `json:"client_ip"`
	ClientHash       string  `json:"client_hash"`
	RealClient       string  `json:"real_client"`
	RealClientHash   string  `json:"real_client_hash"`
	Name             string  `json:"qname"`
	Type             string  `json:"qtype"`
	Rcode            string  `json:"rcode"`
	EDEText          string  `json:"ede_text"`
	Verdict          string  `json:"verdict"`
	Namespace        string  `json:"namespace"`
	PrivatelinkZone  string  `json:"privatelink_zone"`
	Uncatalogued     string  `json:"uncatalogued_privatelink"`
	Direct           bool    `json:"direct"`
	Chase            bool    `json:"chase"`
	PolicyRule       string  `json:"policy_rule"`
	PolicyAction     string  `json:"policy_action"`
	Cache            string  `json:"cache"`
	Group            string  `json:"group"`
	Site             string  `json:"site"`
	Upstream         string  `json:"upstream"`
	UpstreamDuration float64 `json:"upstream_duration_seconds"`
	Fallback         string  `json:"fallback"`
	Error            string  `json:"error"`
	ClientClass      string  `json:"client_class"`
	Class            string  `json:"qclass"`
	Chain            texts   `json:"chain"`
	Answers          texts   `json:"answers"`
	Duration         float64 `json:"duration_seconds"`
}

// decode reads any line of JSON into the record.
func decode(line []byte, r *record) error {
	d := decoded{Sample: 1}
	if err := json.Unmarshal(line, &d); err != nil {
		return explain(line, err)
	}
	*r = record{
		schema: d.Schema, sample: d.Sample, direct: d.Direct, chase: d.Chase,
		duration: microseconds(d.Duration), upstreamDuration: microseconds(d.UpstreamDuration),
	}
	for field, text := range [textFields]string{
		clientIP: d.ClientIP, clientHash: d.ClientHash, realClient: d.RealClient, realClientHash: d.RealClientHash,
		qname: d.Name, qtype: d.Type, rcode: d.Rcode, edeText: d.EDEText,
		verdictField: d.Verdict, namespaceField: d.Namespace, privatelinkZone: d.PrivatelinkZone, uncatalogued: d.Uncatalogued,
		policyRule: d.PolicyRule, policyAction: d.PolicyAction, cacheField: d.Cache, group: d.Group, site: d.Site,
		upstream: d.Upstream, fallback: d.Fallback, errorField: d.Error,
		clientClass: d.ClientClass, qclass: d.Class, chain: d.Chain.joined(), answers: d.Answers.joined(),
	} {
		r.text[field] = []byte(printable(text))
	}
	if d.Time == nil {
		return nil // check says so
	}
	at, err := time.Parse(time.RFC3339Nano, *d.Time)
	if err != nil {
		return fmt.Errorf("found the time %.40q, expected one such as 2026-03-01T12:00:00.250000Z", *d.Time)
	}
	r.time, r.hasTime = at.UnixMicro(), true
	return nil
}

// texts is a list of texts.
type texts []string

// joined is the list as scanTexts reads it. A quote, which only a hostile name has,
// becomes the decimal escape of a name (RFC 1035 section 5.1), so that textBreak is none.
func (t texts) joined() string {
	unquoted := make([]string, len(t))
	for index, text := range t {
		unquoted[index] = strings.NewReplacer(`\"`, `\034`, `"`, `\034`).Replace(text)
	}
	return strings.Join(unquoted, textBreak)
}

// microseconds keeps what does not fit at a value that check refuses.
func microseconds(seconds float64) int64 {
	if seconds < 0 {
		return -1
	}
	return int64(math.Round(min(seconds, 1e9) * 1e6))
}

// explain says what was found in place of a record, in a few words.
func explain(line []byte, err error) error {
	if mismatch := (*json.UnmarshalTypeError)(nil); errors.As(err, &mismatch) {
		return fmt.Errorf("found a JSON %s as %s, expected what the log writes there", mismatch.Value, cmp.Or(mismatch.Field, "the whole line"))
	}
	return fmt.Errorf("found %.40q, expected a line of JSON: %w", line, err)
}

// printable escapes what could steer a terminal or look like something else.
func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	var escaped strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			escaped.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		escaped.WriteString(quoted[1 : len(quoted)-1])
	}
	return escaped.String()
}
