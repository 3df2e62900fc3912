//go:build linux

package lab

import (
	"reflect"
	"testing"
)

const digWithEDE = `
; <<>> DiG 9.18.49 <<>> @10.1.0.4 -q db1.privatelink.database.windows.net
;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: REFUSED, id: 28262
;; flags: qr rd ra; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags:; udp: 1232
; EDE: 15 (Blocked): (direct lookup: (ask) for db1.database.windows.net)
;; QUESTION SECTION:
;db1.privatelink.database.windows.net. IN A

;; SERVER: 10.1.0.4#53(10.1.0.4) (UDP)
;; MSG SIZE  rcvd: 151
`

const digTruncated = `;; Truncated, retrying in TCP mode.
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1
;; flags: qr aa; QUERY: 1, ANSWER: 2, AUTHORITY: 1, ADDITIONAL: 0

;; ANSWER SECTION:
example.org.		60	IN	TXT	"two  words" "more"
example.org.		60	IN	A	192.0.2.1

;; AUTHORITY SECTION:
example.org.		60	IN	NS	ns1.example.org.

;; SERVER: 10.1.0.4#53(10.1.0.4) (TCP)
;; MSG SIZE  rcvd: 1300
`

func TestParseDig(t *testing.T) {
	tests := []struct {
		name, text string
		want       *Answer
	}{
		{"an extended error", digWithEDE, &Answer{
			Status: "REFUSED", Flags: []string{"qr", "rd", "ra"}, Transport: "UDP", Size: 151,
			EDE: &EDE{15, "direct lookup: (ask) for db1.database.windows.net"},
		}},
		{"asked again over TCP", digTruncated, &Answer{
			Status: "NOERROR", Flags: []string{"qr", "aa"}, Transport: "TCP", Retried: true, Size: 1300,
			Records: []Record{{"example.org.", "TXT", `"two words" "more"`, 60}, {"example.org.", "A", "192.0.2.1", 60}},
		}},
		{"no reply", ";; communications error to 10.1.0.4#53: timed out\n;; no servers could be reached\n", nil},
		{"a record without data", ";; ANSWER SECTION:\nexample.org. 60 IN A\n", nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseDig(tc.text)
			if got != nil {
				got.Text = ""
			}
			if (err != nil) != (tc.want == nil) || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("parseDig = %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}
