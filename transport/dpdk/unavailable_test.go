//go:build !dpdk

package dpdk

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestAProgramBuiltWithoutDPDKSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	_, err := transport.Open("dpdk://net_null0?ip=10.0.1.7/24")
	require.ErrorIs(t, err, transport.ErrUnavailable)
	require.ErrorContains(t, err, "-tags dpdk")
}
