package catalog

import "testing"

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		name, glob, owner string
		want              bool
	}{
		{"literal", "a", "a", true},
		{"literal differs", "a", "b", false},
		{"anything", "*", "a", true},
		{"not even nothing", "*", "", false},
		{"at the front", "md-*", "md-1", true},
		{"empty run", "md-*", "md-", true},
		{"at the front differs", "md-*", "amd-1", false},
		{"at the back", "*-api", "0a1b-api", true},
		{"at the back differs", "*-api", "0a1b-apis", false},
		{"twice", "*-asr-pod01-*", "v1-asr-pod01-rcm1", true},
		{"goes back", "*ab", "aabaab", true},
		{"goes back for the last", "*ab*c", "abxabyc", true},
		{"many stars", "*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false},
		{"no star crosses a dot", "a*c", "ab.c", false},
		{"two labels", "*.jrds", "a1.jrds", true},
		{"two of three labels", "*.jrds", "a1.jrds.eus", true},
		{"too few labels", "*.jrds", "jrds", false},
		{"upper case in the glob", "MD-*", "md-1", true},
		{"escaped dot in a label", "a*", `a\.b`, true},
		{"escaped dot is no separator", "a.b", `a\.b`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := parseGlob(tc.glob)
			if err != nil {
				t.Fatalf("parseGlob(%q): %v", tc.glob, err)
			}
			if got := g.matches(tc.owner); got != tc.want {
				t.Errorf("%q matches %q: %v, want %v", tc.glob, tc.owner, got, tc.want)
			}
		})
	}
}
