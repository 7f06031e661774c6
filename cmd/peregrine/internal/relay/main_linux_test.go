package relay

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// TestMain moves the tests into a network namespace of their own, where they may.
func TestMain(m *testing.M) {
	if err := netns.Isolate(); err != nil && !errors.Is(err, netns.ErrNotPermitted) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
