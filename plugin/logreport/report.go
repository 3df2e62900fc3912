package logreport

import "time"

// Report is what the logs tell. Its lists are sorted, the worst or the most
// frequent first, and have at most Options.Top rows unless their comment says
// otherwise. Counts are queries: a line that was sampled, one in N, counts N.
// A row's Over is by how much its count may be too high; 0 is exact. The JSON
// form is stable: fields are added, not renamed.
type Report struct {
	// Sources are the logs, all of them.
	Sources []SourceSummary `json:"sources"`
	// From and To are the times of the first and the last query; the zero time
	// where there is none.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Queries is what the Lines stand for; Sampled of the lines stand for more
	// than one. PassedOver are lines that the filters leave out, Unreadable those
	// that are no records, of which Mistakes are the first few.
	Queries    uint64    `json:"queries"`
	Lines      uint64    `json:"lines"`
	Sampled    uint64    `json:"sampled_lines"`
	PassedOver uint64    `json:"passed_over_lines"`
	Unreadable uint64    `json:"unreadable_lines"`
	Mistakes   []Mistake `json:"mistakes"`

	// Findings are what needs a look, the gravest first; all of them.
	Findings []Finding `json:"findings"`

	// Latency is that of the replies to clients.
	Latency Latency `json:"latency"`
	// HitShare is the part, 0 to 1, of the queries with an answer that it took
	// no upstream for: cache states hit and stale.
	HitShare float64 `json:"hit_share"`
	// Verdicts, Rcodes, Caches and Types are all there are; "none" stands for
	// queries without one.
	Verdicts []Count `json:"verdicts"`
	Rcodes   []Count `json:"rcodes"`
	Caches   []Count `json:"caches"`
	Types    []Count `json:"types"`
	// Timeline shows the verdicts over time, Gaps the silences in the logs.
	Timeline Timeline `json:"timeline"`
	Gaps     []Gap    `json:"gaps"`

	// DirectLookups is how many there were; DirectClients who made them.
	DirectLookups uint64         `json:"direct_lookups"`
	DirectClients []DirectClient `json:"direct_clients"`
	// Zones are privatelink zones with unlinked or missing names.
	Zones []ZoneFault `json:"zones"`
	// Withheld are answers that must be private and were not.
	Withheld []Withheld `json:"withheld"`
	// Slow are the names that clients waited for longest, all queries together.
	Slow []SlowName `json:"slow_names"`
	// Upstreams are the servers that were asked.
	Upstreams []Upstream `json:"upstreams"`
	Fallbacks []Fallback `json:"fallbacks"`
	// Overrides are the names that an operator's word was told for.
	Overrides []Count `json:"overrides"`
	// Uncatalogued are names with a privatelink label that the catalog does not know.
	Uncatalogued []Count `json:"uncatalogued_privatelink"`
	Namespaces   []Use   `json:"namespaces"`
	Clients      []Use   `json:"clients"`
}

// SourceSummary is what became of one log.
type SourceSummary struct {
	Name  string `json:"name"`
	Lines uint64 `json:"lines"`
	// Error is why it was not read to its end; empty if it was.
	Error string `json:"error,omitempty"`
}

// Severity says how soon a finding needs a look.
type Severity string

// The severities: what fails now, what is wrong, what is good to know.
const (
	Failing Severity = "failing"
	Wrong   Severity = "wrong"
	Notice  Severity = "notice"
)

// Finding is a sentence about what needs a look, and one about what to do.
type Finding struct {
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Advice   string   `json:"advice,omitempty"`
}

// Latency are quantiles in seconds; all but Max are true within one part in 16.
type Latency struct {
	P50 float64 `json:"p50_seconds"`
	P95 float64 `json:"p95_seconds"`
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`
}

// Count is how many queries had something.
type Count struct {
	Name    string `json:"name"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
}

// Timeline is what happened over time, in steps of the same length, empty ones
// included, at most 120.
type Timeline struct {
	StepSeconds int64    `json:"step_seconds"`
	Buckets     []Bucket `json:"buckets"`
}

// Bucket is one step, which begins at Time, in UTC.
type Bucket struct {
	Time    time.Time `json:"time"`
	Queries uint64    `json:"queries"`
	// Failed are those that were told SERVFAIL.
	Failed uint64 `json:"failed"`
	// Verdicts has those that are not 0.
	Verdicts map[string]uint64 `json:"verdicts"`
}

// Gap is a silence in the logs, in which about so many lines were to be expected.
type Gap struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Expected uint64    `json:"expected_lines"`
}

// DirectClient is a client that asks for names in privatelink zones.
type DirectClient struct {
	Client  string `json:"client"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
	// Names are what it asks for, the most frequent first: at most five. Count
	// is of how many names they are.
	Names []DirectName `json:"names"`
	Count int          `json:"name_count"`
}

// DirectName is a name in a privatelink zone and the name to ask for instead;
// empty where nobody knows.
type DirectName struct {
	Name    string `json:"name"`
	Use     string `json:"use,omitempty"`
	Action  string `json:"action"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
}

// ZoneFault is a privatelink zone whose names an upstream group answers with
// public addresses (verdict unlinked) or not at all (missing).
type ZoneFault struct {
	Zone    string `json:"zone"`
	Verdict string `json:"verdict"`
	Group   string `json:"group,omitempty"`
	Site    string `json:"site,omitempty"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
	// Names are the most frequent: at most five.
	Names []Count `json:"names"`
	// Advice says what to do.
	Advice string `json:"advice"`
}

// Withheld is a name whose answers were kept back.
type Withheld struct {
	Name    string `json:"name"`
	Rule    string `json:"rule"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
	// Clients is how many clients asked for it.
	Clients int `json:"clients"`
}

// SlowName is a name that clients waited for. WaitedSeconds is what all its
// queries took together; Latency is of the Queries that were counted for it.
type SlowName struct {
	Name          string  `json:"name"`
	Queries       uint64  `json:"queries"`
	WaitedSeconds float64 `json:"waited_seconds"`
	OverSeconds   float64 `json:"over_seconds,omitempty"`
	Latency
}

// Upstream is a server that was asked, as a member of a group.
type Upstream struct {
	Server string `json:"server"`
	Group  string `json:"group"`
	// Questions are those that it answered and that it failed; Servfail are
	// answered and SERVFAIL, Failed neither answered nor refused well.
	Questions uint64 `json:"questions"`
	Servfail  uint64 `json:"servfail"`
	Failed    uint64 `json:"failed"`
	// Failures are the reasons, at most five.
	Failures []Count `json:"failures"`
	// Latency is that of its round trips.
	Latency
}

// FailureShare is the part of its questions, 0 to 1, that went wrong.
func (u *Upstream) FailureShare() float64 {
	return share(u.Servfail+u.Failed, u.Questions)
}

// Fallback is a name that was answered another way, for the reason Kind.
type Fallback struct {
	Kind    string `json:"kind"`
	Group   string `json:"group,omitempty"`
	Name    string `json:"name"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
}

// Use is how much a namespace or a client was asked for or asked.
type Use struct {
	Name    string `json:"name"`
	Queries uint64 `json:"queries"`
	Over    uint64 `json:"over,omitempty"`
	// Failed are those that were told SERVFAIL.
	Failed uint64 `json:"failed"`
	// Verdicts has those that are not 0.
	Verdicts map[string]uint64 `json:"verdicts"`
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
