package transporttest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// Isolated is a TestMain. It moves the tests into a network namespace of their own,
// where they may: the devices that they make are nobody else's, and go with them.
// Goroutines are left behind by none, but as options say.
func Isolated(m *testing.M, options ...goleak.Option) {
	if err := netns.Isolate(); err != nil && !errors.Is(err, netns.ErrNotPermitted) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, options...)
}
