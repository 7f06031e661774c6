//go:build dpdk

package dpdk

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestMain(m *testing.M) {
	// EAL stays for ever, and so does who talks to it.
	transporttest.Isolated(m, goleak.IgnoreAnyFunction("github.com/peregrine-rpc/peregrine/transport/dpdk.(*control).run"),
		goleak.Cleanup(func(code int) {
			_ = os.RemoveAll(cardDir)
			os.Exit(code)
		}))
}
