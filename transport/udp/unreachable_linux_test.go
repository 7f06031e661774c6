package udp

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
)

func TestAPortWhereNobodyListensIsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ local, peer string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}, {"0.0.0.0:0", "127.0.0.2"},
	} {
		t.Run(c.local+" to "+c.peer, func(t *testing.T) {
			t.Parallel()
			transporttest.Refused(t, opened(t, c.local), c.peer)
		})
	}
}

func TestADeadPeerCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	transporttest.DeadPeer(t, a, b, func(n uint64) { require.Equal(t, n, a.Completed()) })
	kept := 0
	for {
		if _, ok := a.NextUnreachable(); !ok {
			break
		}
		kept++
	}
	require.LessOrEqual(t, kept, 16, "only so many are kept")
}

func TestWaitReturnsForAReportAndSleepsWhenItIsTaken(t *testing.T) {
	t.Parallel()
	s := opened(t, "127.0.0.1:0")
	r, err := s.Resolve(transporttest.Dead(t, "127.0.0.1"), netip.Addr{})
	require.NoError(t, err)
	for range 3 {
		transporttest.Send(t, s, r, "anybody?")
		require.NoError(t, s.Wait(-1))
		require.NoError(t, s.Wait(-1), "also while it is not taken")
		_, ok := s.NextUnreachable()
		require.True(t, ok)
		began := time.Now()
		require.NoError(t, s.Wait(30*time.Millisecond))
		require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	}
	// Also for an owner who cannot receive.
	s.rx.free, s.rx.buffer[0] = nil, none
	transporttest.Send(t, s, r, "anybody?")
	require.NoError(t, s.Wait(-1))
}

func TestAHostThatCannotBeReachedIsReported(t *testing.T) {
	l := newLAN(t, 1500)
	require.NoError(t, l.client.Do(func() error {
		var err error
		for dst, kind := range map[string]int{"10.20.0.1/32": unix.RTN_UNREACHABLE, "10.20.0.2/32": unix.RTN_PROHIBIT} {
			prefix, parsed := netlink.ParseIPNet(dst)
			err = errors.Join(err, parsed, netlink.RouteAdd(&netlink.Route{Dst: prefix, Type: kind}))
		}
		return err
	}))
	s := variants[0].in(t, l.client, "0.0.0.0:0").(*socket)
	for to, reason := range map[string]error{
		"10.20.0.1:9": syscall.EHOSTUNREACH,
		"10.20.0.2:9": syscall.EACCES,
		"10.30.0.1:9": syscall.ENETUNREACH,
		"10.9.0.2:9":  syscall.ECONNREFUSED, // by the other host
	} {
		at := netip.MustParseAddrPort(to)
		r, err := s.Resolve(at, netip.Addr{})
		require.NoError(t, err)
		transporttest.Send(t, s, r, "anybody?")
		u := transporttest.Heard(t, s)
		require.Equal(t, at, u.To)
		require.ErrorIs(t, u.Err, reason)
		require.Equal(t, "anybody?", string(u.Data))
	}
}
