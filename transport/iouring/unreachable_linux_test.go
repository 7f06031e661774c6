package iouring

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestAPortWhereNobodyListensIsReported(t *testing.T) {
	each(t, func(t *testing.T, v variant) { transporttest.Refused(t, v.at(t, loopback), "127.0.0.1") })
}

func TestADeadPeerCostsTheOthersNothing(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		transporttest.DeadPeer(t, a, b, func(n uint64) { completed(t, a, n) })
	})
}

func TestWaitReturnsForAReportAndSleepsWhenItIsTaken(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a := v.at(t, loopback)
		r, err := a.Resolve(transporttest.Dead(t, "127.0.0.1"), netip.Addr{})
		require.NoError(t, err)
		for range 3 {
			transporttest.Send(t, a, r, "anybody?")
			for !inside(a).sock.Reports() {
				require.NoError(t, a.Wait(-1))
			}
			require.NoError(t, a.Wait(-1), "also while it is not taken")
			_, ok := inside(a).NextUnreachable()
			require.True(t, ok)
			completed(t, a, a.Stats().TxPackets)
			returns := 0
			for began := time.Now(); time.Since(began) < 30*time.Millisecond; returns++ {
				require.NoError(t, a.Wait(30*time.Millisecond))
			}
			require.Less(t, returns, 10, "it sleeps")
		}
	})
}
