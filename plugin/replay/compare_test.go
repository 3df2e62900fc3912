package replay

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

// answer makes an answer of a verdict; chain and addresses are in one list.
func answer(rcode, verdict string, led ...string) logreport.Answer {
	made := logreport.Answer{Rcode: rcode, Verdict: verdict, Action: "allow"}
	for _, word := range led {
		if address, err := netip.ParseAddr(word); err == nil {
			made.Addresses = append(made.Addresses, address)
		} else {
			made.Chain = append(made.Chain, word)
		}
	}
	return made
}

func ruled(action string) logreport.Answer {
	return logreport.Answer{Rcode: map[string]string{"refuse": "REFUSED", "nxdomain": "NXDOMAIN", "withhold": "NOERROR"}[action], Verdict: map[string]string{"withhold": "public"}[action], Action: action}
}

func TestCompare(t *testing.T) {
	privateAnswer := answer("NOERROR", "private", "db1.privatelink.x.", "10.0.2.4", "10.0.2.5")
	publicAnswer := answer("NOERROR", "public", "slice1.x.", "203.0.113.9")
	unlinkedAnswer := answer("NOERROR", "unlinked", "db1.privatelink.x.", "slice1.x.", "203.0.113.9")
	noData, noName := answer("NOERROR", "nodata"), answer("NXDOMAIN", "other")
	missingAnswer, failure := answer("NXDOMAIN", "missing", "db1.privatelink.x."), answer("SERVFAIL", "")
	text := answer("NOERROR", "other")
	tests := []struct {
		name        string
		before, now logreport.Answer
		strict      bool
		want        string
	}{
		{"the same", privateAnswer, privateAnswer, true, ""},
		{"another order", privateAnswer, answer("NOERROR", "private", "db1.privatelink.x.", "10.0.2.5", "10.0.2.4"), false, ""},
		{"another chain to the same", privateAnswer, answer("NOERROR", "private", "10.0.2.5", "10.0.2.4"), false, ""},
		{"another chain, strictly", privateAnswer, answer("NOERROR", "private", "10.0.2.5", "10.0.2.4"), true, "moved private private"},
		{"an address less", privateAnswer, answer("NOERROR", "private", "db1.privatelink.x.", "10.0.2.4"), false, "moved private private"},
		{"an address more", answer("NOERROR", "private", "10.0.2.4"), privateAnswer, false, "moved private private"},
		{"exposed", privateAnswer, publicAnswer, false, "exposed private public"},
		{"exposed without link", privateAnswer, unlinkedAnswer, false, "exposed private unlinked"},
		{"no longer withheld", ruled("withhold"), unlinkedAnswer, false, "exposed withheld unlinked"},
		{"failing", publicAnswer, failure, false, "failing public failed"},
		{"negative, then failing", noName, failure, false, "failing nxdomain failed"},
		{"lost to NXDOMAIN", privateAnswer, missingAnswer, false, "lost private missing"},
		{"lost to NODATA", text, noData, false, "lost other nodata"},
		{"refused", privateAnswer, ruled("refuse"), false, "refused private refused"},
		{"refused by NXDOMAIN", privateAnswer, ruled("nxdomain"), false, "refused private refused"},
		{"withheld", unlinkedAnswer, ruled("withhold"), false, "refused unlinked withheld"},
		{"a rotating address", publicAnswer, answer("NOERROR", "public", "slice1.x.", "203.0.113.10"), false, ""},
		{"a rotating address, strictly", publicAnswer, answer("NOERROR", "public", "slice1.x.", "203.0.113.10"), true, "elsewhere public public"},
		{"another end", publicAnswer, answer("NOERROR", "public", "slice2.x.", "203.0.113.9"), false, "elsewhere public public"},
		{"a link less for what is public", publicAnswer, unlinkedAnswer, false, "elsewhere public unlinked"},
		{"found again", noName, publicAnswer, false, "answered nxdomain public"},
		{"works again", failure, noName, false, "answered failed nxdomain"},
		{"allowed", ruled("refuse"), publicAnswer, false, "answered refused public"},
		{"private now", unlinkedAnswer, privateAnswer, false, "covered unlinked private"},
		{"private after a failure", failure, privateAnswer, false, "covered failed private"},
		{"another denial", noName, noData, false, "different nxdomain nodata"},
		{"another failure", failure, answer("NOTIMP", ""), true, ""},
		{"refused either way", ruled("refuse"), ruled("nxdomain"), true, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if change, changed := compare(logreport.Question{Answer: tc.before}, tc.now, tc.strict); changed {
				got = fmt.Sprintf("%s %s %s", change.Kind, change.From, change.To)
			}
			if got != tc.want {
				t.Errorf("compare(%+v, %+v) = %q, want %q", tc.before, tc.now, got, tc.want)
			}
		})
	}
}

// A log has 64 addresses at most: what it had no room for has not changed.
func TestCompareALongAnswer(t *testing.T) {
	var all []string
	for index := range 80 {
		all = append(all, fmt.Sprintf("10.0.9.%d", index))
	}
	known := logreport.Question{Answer: answer("NOERROR", "private", all[:64]...)}
	if change, changed := compare(known, answer("NOERROR", "private", all...), false); changed {
		t.Errorf("compare of 64 of 80 addresses = %s, want no change", change.Kind)
	}
	if _, changed := compare(known, answer("NOERROR", "private", all[1:]...), false); !changed {
		t.Error("compare does not see that one of the 64 is gone")
	}
}
