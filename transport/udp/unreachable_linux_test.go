package udp

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// heard waits for a report, as an owner does.
func heard(t *testing.T, s *socket) transport.Unreachable {
	t.Helper()
	for end := time.Now().Add(transporttest.Patience); ; {
		if u, ok := s.NextUnreachable(); ok {
			return u
		}
		require.True(t, time.Now().Before(end), "nothing was reported")
		n, err := s.Recv(make([]transport.RxPacket, 1))
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, s.Wait(time.Second))
	}
}

func TestAPortWhereNobodyListensIsReported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ local, peer string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}, {"0.0.0.0:0", "127.0.0.2"},
	} {
		t.Run(c.local+" to "+c.peer, func(t *testing.T) {
			t.Parallel()
			s, to := opened(t, c.local), transporttest.Dead(t, c.peer)
			r, err := s.Resolve(to, netip.Addr{})
			require.NoError(t, err)
			for _, texts := range [][]string{{"anybody?"}, transporttest.Numbered(20, 100), {strings.Repeat("long", 300)}} {
				transporttest.Send(t, s, r, texts...)
				u := heard(t, s)
				require.Equal(t, to, u.To)
				require.ErrorIs(t, u.Err, syscall.ECONNREFUSED)
				require.NotEmpty(t, u.Data)
				require.True(t, strings.HasPrefix(strings.Join(texts, ""), string(u.Data)), "it is quoted from its first byte")
				for ok := true; ok; {
					_, ok = s.NextUnreachable()
				}
			}
			require.Zero(t, s.Stats().TxRefused)
		})
	}
}

func TestADeadPeerCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	nobody, err := a.Resolve(transporttest.Dead(t, "127.0.0.1"), netip.Addr{})
	require.NoError(t, err)
	somebody, back := transporttest.To(t, a, b), transporttest.To(t, b, a)
	for round := range 50 {
		// In one batch by turns, so that the kernel has to stop at each.
		pkts := make([]transport.TxPacket, 40)
		require.Equal(t, len(pkts), a.Reserve(pkts))
		for i := range pkts {
			pkts[i].Route, pkts[i].Head = []transport.Route{nobody, somebody}[i%2], pkts[i].Head[:1+round]
		}
		n, err := a.Send(pkts)
		require.NoError(t, err)
		require.Equal(t, len(pkts), n)
		b.Release(transporttest.Receive(t, b, 20))
		transporttest.Send(t, a, nobody, "anybody?")
		transporttest.Send(t, b, back, "an answer")
		require.Equal(t, []string{"an answer"}, transporttest.Texts(t, a, 1))
	}
	require.Zero(t, a.Stats().TxRefused)
	require.Equal(t, uint64(50*41), a.Stats().TxPackets)
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
		u := heard(t, s)
		require.Equal(t, at, u.To)
		require.ErrorIs(t, u.Err, reason)
		require.Equal(t, "anybody?", string(u.Data))
	}
}
