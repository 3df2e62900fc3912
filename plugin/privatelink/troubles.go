package privatelink

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

const (
	// lookInterval is how soon the log tells that a server or a group is down.
	lookInterval = time.Second
	// lineInterval is the least time between two lines about one server's state, or one
	// group's: one that flaps must not drown the others.
	lineInterval = 10 * time.Second
)

// troubles are what the log was told of upstream servers and groups. They are the
// process's, so that a reload tells nothing again. The slot's mutex guards them; the
// zero value is ready.
type troubles struct {
	servers map[*upstream.Server]*serverTrouble
	groups  map[string]*standing
}

// serverTrouble is what the log was told of a server.
type serverTrouble struct {
	standing standing
	spending spending
}

// condition is how a server or a group is.
type condition int

const (
	isWell condition = iota
	// onBackups is that of a group whose first tier is down, while a backup is not.
	onBackups
	isDown
)

// standing is how something is, and how much of that the log was not told.
type standing struct {
	condition condition
	// since is when it became so, worse when it ceased to be well: zero where nobody saw.
	since, worse time.Time
	// changes are those that the log was not told of; told is when its last line was.
	changes int
	told    time.Time
}

// see takes in how something is, and since when. Another time means that it was
// different between two looks.
func (s *standing) see(now condition, since time.Time) {
	switch {
	case now != s.condition:
		s.changes++
		if s.condition == isWell {
			s.worse = since
		}
	case since.Equal(s.since):
		return
	case now == isWell:
		s.changes += 2
		s.worse = time.Time{}
	default:
		s.changes += 2
		s.worse = since
	}
	s.condition, s.since = now, since
}

// due reports whether a line is to be written, and marks it as written: one about the
// condition of now, whatever was before it.
func (s *standing) due(now time.Time) bool {
	if s.changes == 0 || !s.told.IsZero() && now.Sub(s.told) < lineInterval {
		return false
	}
	s.told = now
	return true
}

// after tells how long it was not well, empty where nobody knows.
func (s *standing) after() string {
	if s.worse.IsZero() {
		return ""
	}
	return " after " + rounded(s.since.Sub(s.worse))
}

// more tells of the changes that no line was written about, and forgets them.
func (s *standing) more() string {
	more := s.changes - 1
	s.changes = 0
	if more == 0 {
		return ""
	}
	return ", and " + amount(uint64(more), "change") + " more"
}

// rounded tells a time in seconds, or in milliseconds where it is shorter than one.
func rounded(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// amount tells how many there are of something.
func amount(count uint64, word string) string {
	if count != 1 {
		word += "s"
	}
	return strconv.FormatUint(count, 10) + " " + word
}

// notice is a line for the log.
type notice struct {
	warning bool
	text    string
}

// lookAtUpstreams returns what the log is to be told of all upstream servers and groups
// of the process, whichever stanza asks.
func (s *slot) lookAtUpstreams(now time.Time) (notices []notice) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	notices = s.lookAtServers(now)
	return append(notices, s.lookAtGroups(now)...)
}

// lookAtServers forgets the servers that nobody holds any more. The mutex is held.
func (s *slot) lookAtServers(now time.Time) (notices []notice) {
	before := s.troubles.servers
	s.troubles.servers = make(map[*upstream.Server]*serverTrouble, len(s.servers))
	for endpoint, shared := range s.servers {
		trouble := cmp.Or(before[shared.server], new(serverTrouble))
		s.troubles.servers[shared.server] = trouble
		health := shared.server.Health()
		trouble.standing.see(conditionOf(health), health.Since)
		if trouble.standing.due(now) {
			notices = append(notices, trouble.standing.tellServer(endpoint.String()+inGroups(s.groupsOf(endpoint))))
		}
		if told, ok := trouble.spending.see(shared.server.Stats().Refused, health.Down, now); ok {
			notices = append(notices, told.tell(endpoint.String()+inGroups(s.groupsOf(endpoint)), shared.budget))
		}
	}
	return inOrder(notices)
}

// inOrder sorts what is told at one time.
func inOrder(notices []notice) []notice {
	slices.SortFunc(notices, func(a, b notice) int { return strings.Compare(a.text, b.text) })
	return notices
}

func conditionOf(health upstream.Health) condition {
	if health.Down {
		return isDown
	}
	return isWell
}

// inGroups names the groups of a server: ` of group "azure"`.
func inGroups(groups []UpstreamGroup) string {
	names := make([]string, 0, len(groups))
	for _, group := range groups {
		names = append(names, strconv.Quote(group.Name))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch len(names) {
	case 0:
		return ""
	case 1:
		return " of group " + names[0]
	default:
		return " of groups " + strings.Join(names, ", ")
	}
}

func (s *standing) tellServer(name string) notice {
	if s.condition == isWell {
		return notice{text: "upstream " + name + " answers again" + s.after() + s.more()}
	}
	return notice{true, "upstream " + name + " is down: no reply since " + s.since.Format(time.TimeOnly) + s.more()}
}

// lookAtGroups forgets the groups that no configuration has any more. A group with other
// servers is another one. The mutex is held.
func (s *slot) lookAtGroups(now time.Time) (notices []notice) {
	before := s.troubles.groups
	s.troubles.groups = make(map[string]*standing, len(before))
	for _, written := range s.groups {
		for _, group := range written {
			key := fmt.Sprint(group.name, group.servers, group.backups)
			if s.troubles.groups[key] != nil {
				continue // two configurations have it, during a reload
			}
			known := cmp.Or(before[key], new(standing))
			s.troubles.groups[key] = known
			if found := s.conditionOfGroup(group); found != known.condition {
				known.see(found, now)
			}
			if known.due(now) {
				notices = append(notices, known.tellGroup(group.name))
			}
		}
	}
	return inOrder(notices)
}

// conditionOfGroup says how a group is by its servers. The mutex is held.
func (s *slot) conditionOfGroup(group *groupConfig) condition {
	down := func(asked endpoint) bool {
		shared := s.servers[asked]
		return shared != nil && shared.server.Health().Down
	}
	isUp := func(asked endpoint) bool { return !down(asked) }
	switch {
	case slices.ContainsFunc(group.servers, isUp):
		return isWell
	case slices.ContainsFunc(group.endpoints(), isUp):
		return onBackups
	default:
		return isDown
	}
}

func (s *standing) tellGroup(name string) notice {
	group := "upstream group " + strconv.Quote(name)
	switch s.condition {
	case isDown:
		return notice{true, group + " is down: all of its servers are; stale answers and fallbacks only" + s.more()}
	case onBackups:
		return notice{true, group + " lives on its backups: all servers of its first tier are down" + s.more()}
	default:
		return notice{false, group + " is well again" + s.after() + s.more()}
	}
}

// tellUpstreams tells the operator of servers and groups that went down or came back,
// and of budgets that are spent.
func (r *running) tellUpstreams(now time.Time) {
	for _, told := range r.shared.lookAtUpstreams(now) {
		if told.warning {
			r.log.Warning(told.text)
		} else {
			r.log.Info(told.text)
		}
	}
}
