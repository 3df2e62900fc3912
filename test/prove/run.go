//go:build linux

package prove

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// run is what the proofs of one run have in common. It may be used by
// goroutines at once.
type run struct {
	t       *testing.T
	full    bool
	subject subject
	program string // the path of our program
	figures string // the directory for figures; "" for none

	mutex  sync.Mutex
	proofs []*proof
}

// newRun reads the environment and builds the program, with further flags of go build: an
// ordinary build, without the race detector, because its speed is judged.
func newRun(t *testing.T, flags ...string) *run {
	t.Helper()
	r := &run{t: t, full: os.Getenv("PROVE") == "full", figures: os.Getenv("PROVE_FIGURES"), program: os.Getenv("PROVE_PROGRAM")}
	name := os.Getenv("PROVE_SUBJECT")
	if name == "" {
		name = "privatelink"
	}
	var known bool
	if r.subject, known = subjects[name]; !known {
		t.Fatalf("PROVE_SUBJECT: found %q, expected privatelink, bare or coredns", name)
	}
	r.subject.name = name
	if r.program == "" {
		r.program = filepath.Join(t.TempDir(), "privatelink-dns")
		build := exec.Command("go", slices.Concat([]string{"build", "-buildvcs=false", "-o", r.program}, flags, []string{"github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns"})...)
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building the program: %v\n%s", err, said)
		}
	}
	t.Cleanup(r.finish)
	return r
}

// form returns the name of the run's form.
func (r *run) form() string {
	if r.full {
		return "full"
	}
	return "short"
}

// pick returns one of two values: the full form's or the short one's.
func pick[T any](r *run, full, short T) T {
	if r.full {
		return full
	}
	return short
}

// finish prints the table of all figures.
func (r *run) finish() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.proofs) > 0 {
		r.t.Logf("%s, %s form\n%s", r.subject.title, r.form(), table(r.proofs))
	}
}

// proof is one proof in progress: its test, its directory, its figures.
type proof struct {
	*run
	t         *testing.T
	name      string
	directory string
	started   time.Time

	mutex   sync.Mutex
	figures []figure
}

func (r *run) newProof(t *testing.T, name string) *proof {
	t.Helper()
	p := &proof{run: r, t: t, name: name, directory: t.TempDir(), started: time.Now()}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.proofs = append(r.proofs, p)
	t.Cleanup(p.keep)
	return p
}

// keep writes the figures down, where somebody wants them.
func (p *proof) keep() {
	if p.run.figures == "" {
		return
	}
	if err := p.write(p.run.figures); err != nil {
		p.t.Errorf("writing the figures of %s: %v", p.name, err)
	}
}

// file writes a file into the proof's directory and returns its path.
func (p *proof) file(name string, lines ...string) string {
	p.t.Helper()
	path := filepath.Join(p.directory, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// subdirectory makes a directory within the proof's and returns its path.
func (p *proof) subdirectory(name string) string {
	p.t.Helper()
	path := filepath.Join(p.directory, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// require records a figure that is judged, where the run's subject is.
func (p *proof) require(name string, measured float64, unit string, required bound) {
	p.t.Helper()
	f := newFigure(name, measured, unit, required)
	p.record(f)
	switch {
	case f.OK:
	case p.subject.judged:
		p.t.Errorf("%s: %s", p.name, f)
	default:
		p.t.Logf("not judged: %s: %s", p.name, f)
	}
}

// note records a figure that nothing is required of.
func (p *proof) note(name string, measured float64, unit string) {
	p.record(newFigure(name, measured, unit, bound{}))
}

func (p *proof) record(f figure) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.figures = append(p.figures, f)
}

// pass lets time pass: the programs under test are processes with real clocks.
func pass(length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	<-timer.C
}

// count returns a number as people write it: 5,000.
func count(number int) string {
	text := fmt.Sprint(number)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
