//go:build dpdk

package floor

import (
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/peregrine-rpc/peregrine/transport/dpdk"
)

func TestVirtualDevicesAreMeasured(t *testing.T) {
	t.Parallel()
	l, err := Virtual()
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	measured(t, l, CPUs{})
}
