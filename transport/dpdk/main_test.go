//go:build dpdk

package dpdk

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/netns"
)

// TestMain moves the tests into a network namespace of their own: the devices
// that they make are nobody else's, and go with them.
func TestMain(m *testing.M) {
	if err := netns.Isolate(); err != nil && !errors.Is(err, netns.ErrNotPermitted) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// EAL stays for ever, and so does who talks to it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/peregrine-rpc/peregrine/transport/dpdk.(*control).run"),
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(cardDir)
			os.Exit(code)
		}))
}
