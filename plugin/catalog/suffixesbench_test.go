package catalog

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const benchmarkNames = 4096

// randomNames makes count distinct names of six labels each.
func randomNames(count int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	label := func() string {
		letters := make([]byte, 3+random.IntN(9))
		for i := range letters {
			letters[i] = byte('a' + random.IntN(26))
		}
		return string(letters)
	}
	tlds := []string{"net", "com", "org", "example", "cn", "us"}
	seen := make(map[string]bool, count)
	names := make([]string, 0, count)
	for len(names) < count {
		name := fmt.Sprintf("%s.%s.%s.%s.%s.%s.", label(), label(), label(), label(), label(), tlds[random.IntN(len(tlds))])
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func BenchmarkSuffixesLookup(b *testing.B) {
	for _, size := range []int{100, 100_000} {
		loaded := randomNames(size)
		for _, shape := range []string{"one depth", "all depths"} {
			var suffixes Suffixes[*int]
			value := new(int)
			for i, name := range loaded {
				if shape == "all depths" {
					// Every second suffix is shorter, so that each depth
					// from two to six labels is loaded.
					if drop := i % 10; drop < 5 {
						var at labelStarts
						at.fill(name, 6)
						name = name[at[6-drop]:]
					}
				}
				_ = suffixes.AddSuffix(name, value)
			}
			random := rand.New(rand.NewPCG(3, 4))
			for _, query := range []struct{ name, below string }{
				{"loaded", ""}, {"one below", "www."}, {"two below", "a1.www."}, {"miss", "!"},
			} {
				names := make([]string, benchmarkNames)
				for i := range names {
					name := loaded[random.IntN(len(loaded))]
					if query.below == "!" {
						name = name[:len(name)-1] + "x."
					} else {
						name = query.below + name
					}
					names[i] = string([]byte(name))
				}
				b.Run(fmt.Sprintf("%d/%s/%s", size, shape, query.name), func(b *testing.B) {
					b.ReportAllocs()
					hits := 0
					i := 0
					for b.Loop() {
						if _, _, ok := suffixes.Lookup(names[i%benchmarkNames]); ok {
							hits++
						}
						i++
					}
					if (hits == 0) != (query.below == "!") {
						b.Fatalf("Lookup found %d of %d %s", hits, i, query.name)
					}
				})
			}
		}
	}
}
