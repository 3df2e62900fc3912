//go:build linux

package differential

import (
	"slices"
	"strings"
)

// kinds are what the scripted upstream answers differently.
var kinds = []weighted[string]{
	{20, "private"}, {8, "missing"}, {8, "unlinked"}, {4, "several"}, {4, "mixed"}, {4, "public"}, {4, "gone"}, {4, "empty"}, {2, "bare"},
	{3, "failing"}, {3, "refusing"}, {1, "notauth"}, {4, "many"}, {6, "large"}, {4, "signed"}, {2, "zero"}, {2, "long"}, {4, "crossing"}, {1, "circle"}, {3, "told"},
}

// nameMakers are the names that are asked for, in wire form.
var nameMakers = []weighted[func(*author) []byte]{
	{40, func(a *author) []byte { return a.below(namespaces[a.IntN(len(namespaces))].public) }},
	{10, func(a *author) []byte { return a.below(namespaces[a.IntN(len(namespaces))].zone) }},
	{30, func(a *author) []byte { return a.below(ordinary) }},
	{5, func(a *author) []byte { return a.below(unrouted) }},
	{3, func(a *author) []byte { return a.below(dead) }},
	{1, func(a *author) []byte { return wireName(a.unique("single")) }},
	{6, (*author).oddName},
	{1, func(*author) []byte { return []byte{0} }},
	{4, (*author).longName},
	// Not the zone of our namespaces, though it looks so.
	{2, func(a *author) []byte { return a.below("not" + namespaces[0].zone) }},
	{2, func(a *author) []byte { return a.below("deeper." + namespaces[a.IntN(len(namespaces))].zone) }},
}

// name makes a name that nobody else asks for, spelled at random.
func (a *author) name() []byte { return a.spell(pick(a.Rand, nameMakers)(a)) }

// unique is a label of a kind.
func (a *author) unique(kind string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	label := []byte(kind + "-")
	for range 12 {
		label = append(label, letters[a.IntN(len(letters))])
	}
	return string(label)
}

func (a *author) below(suffix string) []byte {
	label := a.unique(pick(a.Rand, kinds))
	return slices.Concat([]byte{byte(len(label))}, []byte(label), labelsOf(suffix))
}

// oddName has octets in it that a zone file must escape, or that mean something else
// elsewhere.
func (a *author) oddName() []byte {
	suffixes := []string{ordinary, namespaces[0].public, namespaces[0].zone}
	odd := string(a.bytes(1 + a.IntN(20)))
	if a.IntN(2) == 0 {
		const special = ". \\\"'();@$*\x00\x7f\xff\t_AZ/"
		var label []byte
		for range 1 + a.IntN(10) {
			label = append(label, special[a.IntN(len(special))])
		}
		odd = string(label)
	}
	name := wireName(a.unique("odd"), odd)
	return append(name[:len(name)-1], labelsOf(suffixes[a.IntN(len(suffixes))])...)
}

// longName has the longest labels, or is the longest name, or has the most labels.
func (a *author) longName() []byte {
	label := a.unique("long")
	switch a.IntN(3) {
	case 0:
		return append(wireName(label + strings.Repeat("x", 63-len(label)))[:64], labelsOf(ordinary)...)
	case 1:
		filler := strings.Repeat("y", 63)
		name := append(wireName(label, filler, filler, filler)[:1+len(label)+3*64], labelsOf(ordinary)...)
		rest := 255 - len(name)
		return append(wireName(strings.Repeat("z", rest-1))[:rest], name...)
	default:
		labels := append([]string{label}, slices.Repeat([]string{"a"}, (255-13-1-len(label))/2)...)
		name := wireName(labels...)
		return append(name[:len(name)-1], labelsOf(ordinary)...)
	}
}

// labelsOf writes a name in presentation form without escapes, its root included.
func labelsOf(name string) []byte {
	return wireName(strings.Split(strings.TrimSuffix(name, "."), ".")...)
}

// spell writes letters in upper case at random, for half of the names.
func (a *author) spell(name []byte) []byte {
	spelled := slices.Clone(name)
	if a.IntN(2) == 0 {
		return spelled
	}
	for i, c := range spelled {
		// A label's length is below 64, and so is no letter.
		if 'a' <= c && c <= 'z' && a.IntN(2) == 0 {
			spelled[i] = c - 'a' + 'A'
		}
	}
	return spelled
}
