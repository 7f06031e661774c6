package xdp

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestMain(m *testing.M) {
	// DPDK's environment stays for ever, where it is at the other end.
	transporttest.Isolated(m, goleak.IgnoreAnyFunction("github.com/peregrine-rpc/peregrine/transport/dpdk.(*control).run"))
}
