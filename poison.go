package peregrine

import "testing"

// poisoned says whether memory whose time is over is overwritten (Config.Poison):
// in tests and under the race detector, where a mistake is to be noticed.
func poisoned() bool { return raceDetector || testing.Testing() }
