package logreport

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// Style is how text is made to stand out; a nil function leaves it as it is.
type Style struct{ Heading, Alarm, Warning func(text string) string }

// MinWidth is the least width that a report in text can have.
const MinWidth = 80

// WriteText writes the report for a terminal of so many columns, at least
// MinWidth. Sections without content are left out. What clients chose, names
// among it, cannot steer the terminal.
func (r *Report) WriteText(out io.Writer, width int, style Style) error {
	t := &textWriter{out: bufio.NewWriter(out), width: max(width, MinWidth), style: style}
	t.summary(r)
	if r.Queries > 0 {
		t.findings(r)
		t.answers(r)
		t.timeline(r)
		t.direct(r)
		t.zones(r)
		t.tables(r)
	}
	t.mistakes(r)
	return t.out.Flush()
}

// textWriter writes a report in columns.
type textWriter struct {
	out   *bufio.Writer
	width int
	style Style
}

func styled(apply func(string) string, text string) string {
	if apply == nil {
		return text
	}
	return apply(text)
}

func (t *textWriter) line(format string, values ...any) {
	fmt.Fprintf(t.out, format+"\n", values...)
}

// heading begins a section.
func (t *textWriter) heading(text, note string) {
	if note != "" {
		note = "  " + note
	}
	t.line("\n%s%s", styled(t.style.Heading, text), note)
}

// wrapped writes words in lines that fit, the first after a prefix and the
// others below its end.
func (t *textWriter) wrapped(prefix, text string) {
	column := width(prefix)
	indent := strings.Repeat(" ", column)
	t.out.WriteString(prefix)
	for index, word := range strings.Fields(text) {
		switch {
		case index == 0:
		case column+1+width(word) > t.width:
			t.out.WriteString("\n" + indent)
			column = len(indent)
		default:
			t.out.WriteByte(' ')
			column++
		}
		t.out.WriteString(word)
		column += width(word)
	}
	t.out.WriteByte('\n')
}

func (t *textWriter) summary(r *Report) {
	if r.Queries == 0 {
		t.line("%s", styled(t.style.Heading, "No queries"))
		t.line("  %s in %s, %s passed over by the filters", plural(r.read(), "line"), plural(uint64(len(r.Sources)), "log"), grouped(r.PassedOver))
		return
	}
	if span := r.To.Sub(r.From); span < time.Second {
		t.line("%s", styled(t.style.Heading, plural(r.Queries, "query")))
		t.line("  at %s UTC", r.From.Format(time.DateTime))
	} else {
		t.line("%s in %s", styled(t.style.Heading, plural(r.Queries, "query")), duration(span))
		t.line("  from %s to %s UTC, %s queries/s", r.From.Format(time.DateTime), r.To.Format(time.DateTime), r.rate())
	}
	told := fmt.Sprintf("%s in %s", plural(r.Lines, "line"), plural(uint64(len(r.Sources)), "log"))
	if r.PassedOver > 0 {
		told += fmt.Sprintf("; %s more passed over by the filters", grouped(r.PassedOver))
	}
	if r.Sampled > 0 {
		told += fmt.Sprintf("; %s of them were sampled and stand for more queries than one", grouped(r.Sampled))
	}
	t.wrapped("  ", told)
}

// read is how many lines were read at all.
func (r *Report) read() (lines uint64) {
	for _, source := range r.Sources {
		lines += source.Lines
	}
	return lines
}

func (r *Report) rate() string {
	return significant(float64(r.Queries) / max(r.To.Sub(r.From).Seconds(), 1))
}

func (t *textWriter) findings(r *Report) {
	if len(r.Findings) == 0 {
		t.heading("Nothing needs a look", "")
		return
	}
	t.heading("What needs a look", "")
	marks := map[Severity]func(string) string{Failing: t.style.Alarm, Wrong: t.style.Warning}
	for _, found := range r.Findings {
		mark := map[Severity]string{Failing: "!!", Wrong: "! ", Notice: "- "}[found.Severity]
		t.out.WriteString("  " + styled(marks[found.Severity], mark) + " ")
		t.wrappedAfter(5, found.Text)
		if found.Advice != "" {
			t.wrapped("     → ", found.Advice)
		}
	}
}

// wrappedAfter goes on in a line in which something is written, so many columns.
func (t *textWriter) wrappedAfter(column int, text string) {
	saved := t.out
	var lines strings.Builder
	t.out = bufio.NewWriter(&lines)
	t.wrapped(strings.Repeat(" ", column), text)
	t.out.Flush()
	t.out = saved
	t.out.WriteString(lines.String()[column:])
}

func (t *textWriter) answers(r *Report) {
	t.heading("Answers", "")
	t.wrapped("  after     ", fmt.Sprintf("p50 %s, p95 %s, p99 %s, at most %s", seconds(r.Latency.P50), seconds(r.Latency.P95), seconds(r.Latency.P99), seconds(r.Latency.Max)))
	t.wrapped("  rcodes    ", shares(r.Rcodes, r.Queries))
	t.wrapped("  types     ", shares(top(r.Types, 8), r.Queries))
	t.wrapped("  cache     ", shares(r.Caches, r.Queries))
	t.wrapped("            ", percent(r.HitShare)+" of the answers needed no upstream")
}

func shares(rows []Count, all uint64) string {
	said := make([]string, 0, len(rows))
	for _, row := range rows {
		said = append(said, row.Name+" "+percent(share(row.Queries, all)))
	}
	return strings.Join(said, ", ")
}

// sparkWidth leaves room for a name before and a share after.
func (t *textWriter) sparkWidth() int { return min(t.width-19, maxBuckets) }

func (t *textWriter) timeline(r *Report) {
	buckets, step := r.Timeline.narrowed(t.sparkWidth())
	if len(buckets) < 2 {
		return
	}
	names := meaningNames()
	rows := map[string][]uint64{}
	for _, b := range buckets {
		rows["SERVFAIL"] = append(rows["SERVFAIL"], b.Failed)
		rows["queries"] = append(rows["queries"], b.Queries)
		for _, name := range names {
			rows[name] = append(rows[name], b.Verdicts[name])
		}
	}
	t.heading("Verdicts over time", fmt.Sprintf("a column is %s, each row has its own scale", duration(time.Duration(step)*time.Second)))
	for _, name := range append(append([]string{"queries"}, names[:]...), "SERVFAIL") {
		var sum uint64
		for _, count := range rows[name] {
			sum += count
		}
		if sum > 0 {
			t.line("  %-8s %s%8s", name, spark(rows[name]), percent(share(sum, r.Queries)))
		}
	}
	first, last := buckets[0].Time.Format("01-02 15:04"), buckets[len(buckets)-1].Time.Format("01-02 15:04")
	if space := len(buckets) - len(first) - len(last); space > 0 {
		t.line("           %s%s%s", first, strings.Repeat(" ", space), last)
	}
}

// narrowed sums steps up until there are at most so many.
func (l *Timeline) narrowed(most int) (buckets []Bucket, stepSeconds int64) {
	together := (len(l.Buckets) + most - 1) / most
	for index, b := range l.Buckets {
		if index%together == 0 {
			buckets = append(buckets, Bucket{Time: b.Time, Verdicts: map[string]uint64{}})
		}
		into := &buckets[len(buckets)-1]
		into.Queries, into.Failed = into.Queries+b.Queries, into.Failed+b.Failed
		for name, count := range b.Verdicts {
			into.Verdicts[name] += count
		}
	}
	return buckets, l.StepSeconds * int64(together)
}

// spark draws numbers as blocks of eight heights: nothing is blank, and the
// least that is something has one eighth.
func spark(numbers []uint64) string {
	var most uint64
	for _, number := range numbers {
		most = max(most, number)
	}
	blocks := []rune("▁▂▃▄▅▆▇█")
	var drawn strings.Builder
	for _, number := range numbers {
		if number == 0 {
			drawn.WriteByte(' ')
			continue
		}
		drawn.WriteRune(blocks[int(float64(number)/float64(most)*7.999)])
	}
	return drawn.String()
}

func (t *textWriter) mistakes(r *Report) {
	for _, source := range r.Sources {
		if source.Error != "" {
			t.wrapped("\n", "not read to its end: "+source.Error)
		}
	}
	if r.Unreadable == 0 {
		return
	}
	t.heading("Unreadable lines", grouped(r.Unreadable)+", the first are")
	for _, m := range r.Mistakes {
		t.wrapped("  ", fmt.Sprintf("%s:%d: %s", cmp.Or(m.Source, "-"), m.Line, m.Reason))
	}
}
