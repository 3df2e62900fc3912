package azuresim

import (
	"slices"
	"strings"
	"testing"
)

// mistaken is a world with mistakes, and the lines of its error.
type mistaken struct {
	name, text string
	want       []string
}

func checkMistakes(t *testing.T, cases []mistaken) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w, err := ParseWorld("w.yaml", []byte(tc.text))
			if err == nil || w != nil {
				t.Fatalf("ParseWorld() = %v, %v, want nil and an error", w, err)
			}
			got := strings.Split(err.Error(), "\n")
			if !slices.Equal(got, tc.want) {
				t.Errorf("ParseWorld() =\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// Mistakes in the YAML and in its shape.
func TestParseWorldShape(t *testing.T) {
	checkMistakes(t, []mistaken{
		{"nothing", "", []string{"w.yaml:1: found nothing, expected a world"}},
		{"a comment only", "# nothing\n", []string{"w.yaml:1: found nothing, expected a world"}},
		{"broken YAML", "vnets:\n  - name: [\n", []string{"w.yaml:2: found YAML with a mistake (did not find expected node content), expected well-formed YAML"}},
		{"two documents", "vnets: []\n---\nvnets: []\n", []string{"w.yaml:1: found a second document, expected one"}},
		{"no mapping", "- a\n", []string{"w.yaml:1: found a list, expected a world with vnets, private_zones, public"}},
		{"no VNets", "public: {}\n", []string{`w.yaml:1: found a world without "vnets", expected one`}},
		{"VNets not a list", "vnets: hub\n", []string{`w.yaml:1: found "hub", expected a list of VNets`}},
		{"unknown keys, all at once", "vnets:\n  - name: a\n    netwoks: []\npubic: {}\n", []string{
			`w.yaml:3: found "netwoks" in a VNet, expected name, networks, inbound_endpoints, internal_zone, internal_records`,
			`w.yaml:4: found "pubic" in a world, expected vnets, private_zones, public`,
		}},
		{"key twice", "vnets: []\nvnets: []\n", []string{`w.yaml:2: found a second "vnets" in a world, expected one`}},
		{"alias", "vnets: &v []\npublic:\n  zones: *v\n", []string{"w.yaml:3: found an alias, expected a list of public zones"}},
		{"VNet twice", "vnets:\n  - name: a\n  - name: a\n", []string{`w.yaml:3: found a second VNet "a", expected one`}},
		{"VNet name", "vnets:\n  - name: a b\n", []string{`w.yaml:2: found "a b", expected a name of up to 63 letters, digits and hyphens`}},
		{"VNet without a name", "vnets:\n  - name:\n", []string{"w.yaml:2: found nothing, expected a name"}},
	})
}

// Mistakes in VNets and in links.
func TestParseWorldVNets(t *testing.T) {
	checkMistakes(t, []mistaken{
		{"network", "vnets:\n  - name: a\n    networks: [10.1.0.4/16, 10.2.0.0, 10.3.0.0/16, 10.3.0.0/16]\n", []string{
			`w.yaml:3: found "10.1.0.4/16", expected a network such as 10.1.0.0/16`,
			`w.yaml:3: found "10.2.0.0", expected a network such as 10.1.0.0/16`,
			"w.yaml:3: found network 10.3.0.0/16 a second time, expected it in one VNet",
		}},
		{"endpoint", "vnets:\n  - name: a\n    inbound_endpoints:\n      - address: x\n      - address: 10.1.0.1\n        rfc1918_only: maybe\n      - address: 10.1.0.1\n", []string{
			`w.yaml:4: found "x", expected an IP address`,
			`w.yaml:6: found "maybe", expected true or false`,
			"w.yaml:7: found inbound endpoint 10.1.0.1 a second time, expected it in one VNet",
		}},
		{"internal records alone", "vnets:\n  - name: a\n    internal_records: |\n      vm A 10.0.0.1\n", []string{
			`w.yaml:3: found "internal_records" without "internal_zone", expected both`,
		}},
		{"links", `vnets:
  - name: a
private_zones:
  - name: privatelink.database.windows.net
    links:
      - vnet: b
      - vnet: a
  - name: privatelink.database.windows.net
    links: [{vnet: a}]
  - name: corp.example
    links:
      - {vnet: a, nxdomain_redirect: true}
  - name: example
`, []string{
			`w.yaml:6: found a link to "b", expected the name of a VNet`,
			"w.yaml:9: found a second zone privatelink.database.windows.net. linked to VNet 'a', expected one",
			"w.yaml:12: found nxdomain_redirect on corp.example., expected it on a privatelink zone only",
			"w.yaml:13: found private zone example., expected a name of two labels or more",
		}},
	})
}

// Mistakes in records, each at its own line.
func TestParseWorldRecords(t *testing.T) {
	checkMistakes(t, []mistaken{
		{"records", `vnets: []
private_zones:
  - name: a.example
    records: |
      ; a comment

      one A 10.0.0.1
      two A 10.0.0
      three A 10.0.0.3
  - name: b.example
    records: |
      x CNAME y
      x A 10.0.0.1
      y A 10.0.0.1
      y CNAME x
      z.c.example. A 10.0.0.1
      z SOA a b 1 1 1 1 1
      z CH A 10.0.0.1
      z TYPE41 \# 0
      (
      )
  - name: c.example
    records: one A 10.0.0
  - name: d.example
    records: >
      one A 10.0.0.1
  - name: e.example
    records: [one A 10.0.0.1]
  - name: f.example
    records: |
      x A 10.0.0.1

      $GENERATE 1-2 db$ A 10.0.0.$
  - name: g.example
    records: |
      $INCLUDE /etc/passwd
`, []string{
			`w.yaml:8: found bad A A: "10.0.0", expected a record as in a zone file`,
			"w.yaml:13: found A beside a CNAME at x.b.example., expected one CNAME and nothing else",
			"w.yaml:15: found a CNAME beside other records at y.b.example., expected one CNAME and nothing else",
			"w.yaml:16: found z.c.example., expected a name in the zone b.example.",
			"w.yaml:17: found a SOA at z.b.example., expected it at b.example.",
			"w.yaml:18: found class CH at z.b.example., expected IN",
			"w.yaml:19: found type OPT at z.b.example., expected a type that holds data",
			`w.yaml:23: found bad A A: "10.0.0", expected a record as in a zone file`,
			"w.yaml:25: found folded text (>), expected literal text (|)",
			"w.yaml:28: found a list, expected records in zone-file text",
			"w.yaml:33: found $GENERATE without a TTL, expected one after the name",
			`w.yaml:36: found $INCLUDE directive not allowed: "/etc/passwd", expected a record as in a zone file`,
		}},
	})
}

// Mistakes in public DNS.
func TestParseWorldResources(t *testing.T) {
	checkMistakes(t, []mistaken{
		{"resources", `vnets: []
public:
  resources:
    - name: "a b"
    - name: db.example
      private_link: db.private.example
      addresses: [10.0.0.1]
    - name: empty.example
    - name: ttl.example
      ttl: -1
      addresses: [999.0.0.1]
`, []string{
			"w.yaml:4: found 'a b', expected a domain name",
			"w.yaml:5: found private_link db.private.example., expected a name in a privatelink zone",
			"w.yaml:8: found resource empty.example. that leads nowhere, expected addresses, chain or private_link",
			`w.yaml:10: found "-1", expected a TTL in seconds`,
			`w.yaml:11: found "999.0.0.1", expected an IP address`,
		}},
		{"resources that contradict", `vnets: []
public:
  resources:
    - {name: a.example, chain: [b.example], addresses: [192.0.2.1]}
    - {name: a.example, chain: [c.example], addresses: [192.0.2.1]}
    - {name: b.example, addresses: [192.0.2.1, 192.0.2.2]}
`, []string{"w.yaml:5: found CNAME beside a CNAME at a.example., expected one CNAME and nothing else"}},
		{"public zone twice", "vnets: []\npublic:\n  zones:\n    - name: a.example\n    - name: A.example.\n", []string{
			"w.yaml:5: found a second public zone a.example., expected one",
		}},
	})
}

func TestParseWorldBounds(t *testing.T) {
	text := "vnets: []\nprivate_zones:\n  - name: a.example\n    records: |\n      $GENERATE 1-9 a$ 10 A 10.0.0.$\n      b A 10.0.0.1\n"
	if _, err := parseWorld("w.yaml", []byte(text), 10); err != nil {
		t.Errorf("parseWorld(10 records in room for 10) = %v, want nil", err)
	}
	want := "w.yaml:6: found too many records, expected "
	if _, err := parseWorld("w.yaml", []byte(text), 9); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("parseWorld(10 records in room for 9) = %v, want %q", err, want)
	}
	text = "vnets: []\nprivate_zones:\n  - name: a.example\n    records: |\n      $GENERATE 0-1000 a 10 TXT $\n"
	want = "w.yaml:5: found more than 1000 TXT records at a.a.example., expected fewer"
	if _, err := ParseWorld("w.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("ParseWorld(1001 records of one type at one name) = %v, want %q", err, want)
	}
	mistakes := "vnets:\n" + strings.Repeat("  - x\n", maxMistakes+7)
	_, err := ParseWorld("w.yaml", []byte(mistakes))
	if err == nil {
		t.Fatalf("ParseWorld(%d mistakes) = nil, want an error", maxMistakes+7)
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != maxMistakes+1 || got[maxMistakes] != "w.yaml: and 7 more" {
		t.Errorf("ParseWorld(%d mistakes) = %d lines, the last %q, want %d and a count",
			maxMistakes+7, len(got), got[len(got)-1], maxMistakes+1)
	}
}
