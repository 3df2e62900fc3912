package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDefaultDirect(t *testing.T) {
	want := map[Class]Action{Other: Refuse, Stub: Refuse, Resolver: Allow}
	direct := DefaultDirect()
	for class, action := range want {
		if got := direct[class]; got != action {
			t.Errorf("DefaultDirect()[%s] = %s, want %s", class, got, action)
		}
	}
}

func TestParseAction(t *testing.T) {
	for word, want := range map[string]Action{"allow": Allow, "audit": Audit, "refuse": Refuse, "nxdomain": NXDomain} {
		t.Run(word, func(t *testing.T) {
			got, err := ParseAction(word)
			if got != want || err != nil || got.String() != word {
				t.Errorf("ParseAction(%q) = %v, %v, want %v, nil", word, got, err, want)
			}
		})
	}
	for _, word := range []string{"", "Refuse", "refused", "reject", "drop", "NXDOMAIN", " allow", "none"} {
		t.Run(fmt.Sprintf("%q", word), func(t *testing.T) {
			_, err := ParseAction(word)
			if err == nil {
				t.Fatalf("ParseAction(%q) = nil error, want one", word)
			}
			for _, part := range []string{fmt.Sprintf("%q", word), "refuse", "nxdomain", "allow", "audit"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("ParseAction(%q) = %q, want it to tell %s", word, err, part)
				}
			}
		})
	}
}

func TestActions(t *testing.T) {
	rejects := map[Action]bool{Allow: false, Audit: false, Refuse: true, NXDomain: true, Withhold: true}
	if got := Actions(); len(got) != len(rejects) || !slices.Equal(got, Actions()) {
		t.Errorf("Actions() = %v, want %d in a fixed order", got, len(rejects))
	}
	for _, action := range Actions() {
		want, known := rejects[action]
		if got := action.Rejects(); !known || got != want {
			t.Errorf("%s.Rejects() = %v, want %v", action, got, want)
		}
	}
}

// The words are labels of metrics and fields of the log: each rule has one of
// its own, and none changes its word.
func TestRules(t *testing.T) {
	want := []string{
		"none", "malformed", "unsupported-operation", "client-not-served", "direct-other-type", "direct-zone-apex", "direct-legitimate-name",
		"direct-declared-resolver", "chase", "direct-while-starting", "direct-memory-overflow", "direct-lookup",
		"must-be-private", "unlinked-answer", "private-from-public", "locally-served", "override",
	}
	var got []string
	for _, rule := range Rules() {
		got = append(got, rule.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("Rules() = %q, want %q", got, want)
	}
	if rules := Rules(); rules[0] != NoRule || rules[len(rules)-1] != Override {
		t.Errorf("Rules() runs from %v to %v, want %v to %v", rules[0], rules[len(rules)-1], NoRule, Override)
	}
}
