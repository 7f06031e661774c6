package peregrine

import (
	"flag"
	"testing"
)

// poisoned says whether memory whose time is over is overwritten (Config.Poison):
// in tests and under the race detector, where a mistake is to be noticed. Where
// benchmarks were asked for it is not, since that costs copies, which are not to
// be measured.
func poisoned() bool {
	if raceDetector || !testing.Testing() {
		return raceDetector
	}
	bench := flag.Lookup("test.bench")
	return bench == nil || bench.Value.String() == ""
}
