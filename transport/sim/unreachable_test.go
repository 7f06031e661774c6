package sim_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestAHostSaysWhenNobodyHasAPortOpenIfItIsToldTo(t *testing.T) {
	t.Parallel()
	for _, says := range []bool{false, true} {
		net := sim.New(1)
		a, b := net.Host("a", sim.HostConfig{}), net.Host("b", sim.HostConfig{Unreachable: says})
		net.Link(a, b, sim.LinkConfig{Delay: time.Microsecond})
		port := a.Open(7)
		to := b.Open(9).LocalAddr()
		b.Kill()
		route, err := port.Resolve(to, to.Addr())
		require.NoError(t, err)
		var tx [1]transport.TxPacket
		for range 20 {
			require.Equal(t, 1, port.Reserve(tx[:]))
			tx[0].Head = tx[0].Head[:copy(tx[0].Head, "hello")]
			tx[0].Route = route
			_, err = port.Send(tx[:])
			require.NoError(t, err)
		}
		_, ok := port.NextUnreachable()
		require.False(t, ok, "it takes a round trip")
		net.Run(time.Millisecond)
		require.EqualValues(t, 20, b.Unclaimed())
		heard := 0
		for u, ok := port.NextUnreachable(); ok; u, ok = port.NextUnreachable() {
			heard++
			require.Equal(t, to, u.To)
			require.True(t, u.Refused())
			require.ErrorIs(t, u.Err, syscall.ECONNREFUSED)
			require.Equal(t, "hello", string(u.Data))
		}
		require.Equal(t, says, heard > 0)
		require.LessOrEqual(t, heard, 16)
	}
}
