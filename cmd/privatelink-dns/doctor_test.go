package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// aMachine is a machine in good health, as far as the files of /proc tell; rmem is its
// net.core.rmem_max.
func aMachine(t *testing.T, rmem string) doctorMachine {
	t.Helper()
	proc := t.TempDir()
	if err := os.MkdirAll(filepath.Join(proc, "sys/net/core"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(proc, "sys/net/core/rmem_max"), []byte(rmem+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return doctorMachine{
		proc: proc, now: func() time.Time { return time.Date(2026, time.November, 22, 8, 0, 0, 0, time.UTC) },
		clock: func() (bool, bool) { return true, true },
	}
}

// diagnose runs doctor in the site at hand and returns what it prints.
func diagnose(t *testing.T, machine doctorMachine, asJSON bool) (printed string, code int) {
	t.Helper()
	options := &doctorOptions{corefile: "Corefile", services: usualNamespaces, machine: machine, asJSON: asJSON}
	var out, messages strings.Builder
	if err := options.run(t.Context(), &out, &messages); err != nil {
		if code = exitCode(err); err.Error() != "" {
			t.Fatal(err)
		}
	}
	if messages.Len() > 0 {
		t.Errorf("doctor showed its progress where there is no terminal: %q", messages.String())
	}
	return steady(out.String()), code
}

func TestDoctorPrints(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file, rmem string
		asJSON     bool
		wantCode   int
	}{
		{"doctor-well.golden", "8388608", false, 0},
		{"doctor-buffer.golden", "212992", false, codeFound},
		{"doctor-json.golden", "212992", true, codeFound},
	} {
		t.Run(tc.file, func(t *testing.T) {
			inSite(t, smallCloud(t))
			printed, code := diagnose(t, aMachine(t, tc.rmem), tc.asJSON)
			if code != tc.wantCode {
				t.Errorf("doctor ends with %d, want %d", code, tc.wantCode)
			}
			t.Chdir(filepath.Dir(testdata))
			golden(t, tc.file, printed)
		})
	}
}

func TestDoctorHelp(t *testing.T) { runGolden(t, "doctor-help.golden", "doctor", "--help") }

func TestDoctorLooksAtTheClock(t *testing.T) {
	inSite(t, smallCloud(t))
	wrong := aMachine(t, "8388608")
	wrong.now = func() time.Time { return time.Unix(0, 0) }
	loose := aMachine(t, "8388608")
	loose.clock = func() (bool, bool) { return false, true }
	for _, tc := range []struct {
		name    string
		machine doctorMachine
		want    string
	}{
		{"wrong", wrong, "machine, clock: it says 1970-01-01T00:00:00Z\n"},
		{"kept by nobody", loose, "machine, clock: the kernel knows of nobody who keeps it\n"},
	} {
		if printed, code := diagnose(t, tc.machine, false); code != codeFound || !strings.HasSuffix(printed, tc.want) {
			t.Errorf("%s: doctor ends with %d and\n%s\nwant %q last", tc.name, code, printed, tc.want)
		}
	}
}

func TestDoctorFindsThePortTaken(t *testing.T) {
	taken := smallCloud(t) // it serves, and is no server of ours
	t.Chdir(t.TempDir())
	_, port, _ := strings.Cut(taken, ":")
	text := ".:" + port + " {\n bind 127.0.0.1\n privatelink {\n upstream azure " + smallCloud(t) + "\n route . azure\n state state\n }\n}\n"
	if err := os.WriteFile("Corefile", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	printed, _ := diagnose(t, aMachine(t, "8388608"), false)
	if !strings.HasSuffix(printed, "ports, udp 127.0.0.1:5353: in use by another process\n") {
		t.Errorf("doctor says\n%s\nwant the port named last", printed)
	}
}
