package wire_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

func TestTimeoutsOfEveryLengthTravel(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]time.Duration{
		math.MinInt64:                   0,
		-1:                              0,
		0:                               0,
		1:                               time.Microsecond, // something is left
		1999:                            time.Microsecond,
		time.Second:                     time.Second,
		1<<31*time.Microsecond - 1:      (1<<31 - 1) * time.Microsecond,
		1 << 31 * time.Microsecond:      2147483 * time.Millisecond,
		24 * time.Hour:                  24 * time.Hour,
		24*time.Hour + 999999:           24 * time.Hour,
		wire.MaxTimeout:                 wire.MaxTimeout,
		wire.MaxTimeout + 1:             wire.MaxTimeout,
		math.MaxInt64:                   wire.MaxTimeout,
		71*time.Minute + 35*time.Second: 71*time.Minute + 35*time.Second,
		4294967296 * time.Microsecond:   4294967 * time.Millisecond,
	} {
		require.Equal(t, want, wire.DecodeTimeout(wire.EncodeTimeout(d)), "%v", d)
	}
}

func TestATimeoutIsNeverLongerOnTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Microsecond), int64(wire.MaxTimeout)).Draw(t, "timeout"))
		got := wire.DecodeTimeout(wire.EncodeTimeout(d))
		unit := time.Microsecond
		if d >= 1<<31*time.Microsecond {
			unit = time.Millisecond
		}
		if got > d || d-got >= unit || got == 0 {
			t.Fatalf("%v arrives as %v", d, got)
		}
	})
}
