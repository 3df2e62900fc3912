package upstream

// A random spelling is one more thing for a forger to guess, because nearly all
// servers copy the question into the reply as it came
// (draft-vixie-dnsext-dns0x20).

// respell gives the letters of a question section's name a random case, in place. An
// escaped or binary label is left with the bytes it has.
func respell(question []byte, random func() uint64) {
	var bits uint64
	for i, c := range question[:len(question)-typeAndClass] {
		if i%64 == 0 {
			bits = random()
		}
		// Lengths of labels are below 64 and no letters.
		if 'a' <= c && c <= 'z' && bits&1 == 1 {
			question[i] = c - 'a' + 'A'
		}
		bits >>= 1
	}
}
