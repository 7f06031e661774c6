package conformance

import (
	"bytes"
	"math/rand/v2"
	"sync"
)

const (
	longestMessage = 16 << 20 // core's default of max_message
	patternSeeds   = 1 << 16  // that make a difference
)

// sequence is where patterns are cut out, made once: to make and compare each
// would take longer than the calls.
var sequence = sync.OnceValue(func() []byte {
	b := make([]byte, longestMessage+8*patternSeeds)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// patternOf is the n bytes that belong to seed. They are shared: read only.
func patternOf(seed uint64, n int) []byte {
	const golden = 0x9e3779b97f4a7c15 // spreads neighbours (Knuth, TAOCP 3, 6.4)
	from := 8 * int(seed*golden>>32%patternSeeds)
	return sequence()[from : from+n]
}

// fill makes b what belongs to seed.
func fill(b []byte, seed uint64) { copy(b, patternOf(seed, len(b))) }

// filled says whether b is what fill made of it.
func filled(b []byte, seed uint64) bool { return bytes.Equal(b, patternOf(seed, len(b))) }

// scrawl overwrites memory whose contents nobody may read any more.
func scrawl(b []byte) { clear(b) }
