package udp

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

// opened returns the Linux socket behind a transport opened at an address.
func opened(t *testing.T, address string, change ...func(*Config)) *socket {
	t.Helper()
	c := DefaultConfig()
	c.Address = address
	for _, f := range change {
		f(&c)
	}
	return variants[0].with(t, c).(*socket)
}

func noGRO(c *Config) { c.GRO = false }

func TestARunIsOneSendAndOneReceive(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	require.True(t, a.Caps().SegmentTx, a.Caps().Notes)
	require.True(t, b.Caps().SegmentRx, b.Caps().Notes)
	want := append(transporttest.Numbered(63, 48), "a shorter one ends a run")
	transporttest.Send(t, a, transporttest.To(t, a, b), want...)
	require.Equal(t, want, transporttest.Texts(t, b, 64))
	require.Equal(t, uint64(1), a.Stats().TxCalls)
	require.Equal(t, uint64(1), b.Stats().RxCalls)
}

// What large messages fill is read while it is in the cache: few are taken at a time, until a call's worth of small ones has come.
func TestBehindALargeMessageFewAreTakenAtATime(t *testing.T) {
	t.Parallel()
	runs, single, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	single.tx.segment = false
	require.True(t, runs.Caps().SegmentTx && b.Caps().SegmentRx, b.Caps().Notes)
	fromRuns, fromSingle := transporttest.To(t, runs, b), transporttest.To(t, single, b)
	most := func(datagrams int) (messages int) { // of a call
		pkts := make([]transport.RxPacket, 64)
		transporttest.Within(t, func() bool {
			n, err := b.Recv(pkts)
			require.NoError(t, err)
			b.Release(pkts[:n])
			if datagrams -= n; n > 0 {
				messages = max(messages, b.rx.arrived)
			}
			return datagrams == 0
		})
		return messages
	}
	long := func(size int) {
		transporttest.Send(t, runs, fromRuns, transporttest.Numbered(16, size)...)
		require.Equal(t, 1, most(16))
	}
	many := func() bool {
		transporttest.Send(t, single, fromSingle, transporttest.Numbered(rxMessages-rxFew, 48)...)
		return most(rxMessages-rxFew) > rxFew
	}
	long(rxLarge/16 + 1)
	require.False(t, many())
	transporttest.Within(t, many)
	transporttest.Within(t, func() bool {
		long(rxLarge / 16) // is not large yet
		return many()
	})
}

func TestARunStaysWithinTheLargestDatagram(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, b := opened(t, addr), opened(t, addr)
		want := transporttest.Numbered(64, 8972)
		transporttest.Send(t, a, transporttest.To(t, a, b), want...)
		require.Equal(t, want, transporttest.Texts(t, b, 64))
		require.Equal(t, uint64(1), a.Stats().TxCalls, "ten runs, one sendmmsg")
		require.True(t, a.tx.segment, "the kernel took the runs")
	}
}

func TestAKernelThatRefusesToCutRunsGetsSinglePackets(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	// Without checksums the kernel cuts nothing apart: EINVAL.
	require.NoError(t, unix.SetsockoptInt(a.sock.FD, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1))
	r := transporttest.To(t, a, b)
	want := transporttest.Numbered(64, 48)
	transporttest.Send(t, a, r, want...)
	require.Equal(t, want, transporttest.Texts(t, b, 64))
	require.False(t, a.tx.segment)

	calls := a.Stats().TxCalls
	transporttest.Send(t, a, r, want...)
	require.Equal(t, want, transporttest.Texts(t, b, 64))
	require.Equal(t, calls+2, a.Stats().TxCalls, "it is not asked again: 2 x 32 packets")
	require.Zero(t, a.Stats().TxRefused)
}

func TestARunThatIsTooLargeForItsPathIsNoSignOfALackingKernel(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	r := transporttest.To(t, a, b)
	// The socket believes in larger datagrams than its link carries, as one
	// on several links does.
	a.sock.Caps.MaxPayload = 65507 + 100
	a.tx.init(a.sock.Caps)
	a.heads = udpsock.NewHeads(txBuffers, a.sock.Caps.MaxPayload, nil)
	pkts := make([]transport.TxPacket, 3)
	require.Equal(t, 3, a.Reserve(pkts))
	for i := range pkts {
		pkts[i].Route = r
		pkts[i].Head = pkts[i].Head[:65507+50]
	}
	n, err := a.Send(pkts)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, uint64(3), a.Stats().TxTooLarge)
	require.True(t, a.tx.segment)
}

func TestADestinationThatTheKernelRefusesCostsItsPacketsOnly(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0"), opened(t, "127.0.0.1:0")
	// From a loopback address there is no way out.
	outside, err := a.Resolve(netip.MustParseAddrPort("192.0.2.1:9"), netip.Addr{})
	require.NoError(t, err)
	inside := transporttest.To(t, a, b)
	for range 3 {
		transporttest.Send(t, a, outside, transporttest.Numbered(10, 48)...)
		want := transporttest.Numbered(10, 48)
		transporttest.Send(t, a, inside, want...)
		require.Equal(t, want, transporttest.Texts(t, b, 10))
	}
	require.Equal(t, uint64(30), a.Stats().TxRefused)
	require.True(t, a.tx.segment)
}

func TestCodePointsArriveAsSentBySocketsOfBothFamilies(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			t.Parallel()
			a, b := opened(t, "[::]:0"), opened(t, "[::]:0")
			require.True(t, a.Caps().ECN)
			r, err := a.Resolve(netip.AddrPortFrom(netip.MustParseAddr(ip), b.LocalAddr().Port()), netip.Addr{})
			require.NoError(t, err)
			bounce := func(points ...transport.ECN) {
				pkts := make([]transport.TxPacket, len(points))
				require.Equal(t, len(pkts), a.Reserve(pkts))
				for i := range pkts {
					pkts[i].Route, pkts[i].ECN, pkts[i].Head = r, points[i], pkts[i].Head[:8]
				}
				n, err := a.Send(pkts)
				require.NoError(t, err)
				require.Equal(t, len(pkts), n)
				got := transporttest.Receive(t, b, len(points))
				for i := range got {
					require.Equal(t, points[i], got[i].ECN, "packet %d", i)
				}
				b.Release(got)
			}
			for range 30 {
				bounce(transport.NotECT, transport.ECT0, transport.ECT0, transport.CE, transport.ECT1, transport.NotECT)
			}
			// The socket's own code point follows the traffic, unseen.
			for range 200 {
				bounce(transport.ECT0)
			}
			own, err := unix.GetsockoptInt(a.sock.FD, unix.SOL_IP, unix.IP_TOS)
			require.NoError(t, err)
			require.EqualValues(t, transport.ECT0, own)
			bounce(transport.ECT0, transport.NotECT, transport.CE, transport.ECT0)
		})
	}
}

func TestWithoutECNNothingIsMarked(t *testing.T) {
	t.Parallel()
	a, b := opened(t, "127.0.0.1:0", func(c *Config) { c.ECN = false }), opened(t, "127.0.0.1:0")
	pkts := make([]transport.TxPacket, 1)
	a.Reserve(pkts)
	pkts[0].Route, pkts[0].ECN, pkts[0].Head = transporttest.To(t, a, b), transport.CE, pkts[0].Head[:1]
	_, err := a.Send(pkts)
	require.NoError(t, err)
	got := transporttest.Receive(t, b, 1)
	require.Equal(t, transport.NotECT, got[0].ECN)
}

func TestADatagramLargerThanTheBuffersIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	a := opened(t, "127.0.0.1:0")
	b := opened(t, "127.0.0.1:0", noGRO, func(c *Config) { c.MTU = 1500 })
	transporttest.Send(t, a, transporttest.To(t, a, b), "before", string(make([]byte, 1473)), "after")
	require.Equal(t, []string{"before", "after"}, transporttest.Texts(t, b, 2))
	require.Equal(t, uint64(1), b.Stats().RxTruncated)
}

func TestWhatTheSocketBufferCannotHoldIsCounted(t *testing.T) {
	t.Parallel()
	a := opened(t, "127.0.0.1:0")
	b := opened(t, "127.0.0.1:0", noGRO, func(c *Config) { c.RecvBuffer = 1 << 16 })
	r := transporttest.To(t, a, b)
	for range 50 {
		transporttest.Send(t, a, r, transporttest.Numbered(60, 1000)...)
	}
	pkts := make([]transport.RxPacket, 64)
	for {
		n, err := b.Recv(pkts)
		require.NoError(t, err)
		if n == 0 {
			break
		}
		b.Release(pkts[:n])
	}
	st := b.Stats()
	require.Positive(t, st.RxOverflow)
	require.Equal(t, uint64(3000), st.RxPackets+st.RxOverflow)
	require.NoError(t, b.Close())
	require.Equal(t, st.RxOverflow, b.Stats().RxOverflow, "also when it is closed")
}

func TestSocketBuffersAreReportedAsObtained(t *testing.T) {
	t.Parallel()
	s := opened(t, "127.0.0.1:0", func(c *Config) { c.RecvBuffer, c.SendBuffer = 300_000, 200_000 })
	caps := s.Caps()
	got, err := unix.GetsockoptInt(s.sock.FD, unix.SOL_SOCKET, unix.SO_RCVBUF)
	require.NoError(t, err)
	require.Equal(t, got, caps.RecvBuffer)
	got, err = unix.GetsockoptInt(s.sock.FD, unix.SOL_SOCKET, unix.SO_SNDBUF)
	require.NoError(t, err)
	require.Equal(t, got, caps.SendBuffer)
	require.Empty(t, caps.Notes)
}

func TestQueuesShareAPort(t *testing.T) {
	t.Parallel()
	queues, err := transport.OpenQueues("udp://127.0.0.1:0", 4)
	require.NoError(t, err)
	for i, q := range queues {
		defer q.Close()
		require.Equal(t, queues[0].LocalAddr(), q.LocalAddr())
		require.Equal(t, i, q.Caps().Queue)
		require.Equal(t, 4, q.Caps().Queues)
	}
	// Each client's flow goes to one queue, all of it.
	reached := map[int]int{}
	for range 64 {
		a := opened(t, "127.0.0.1:0", func(c *Config) { c.RecvBuffer, c.SendBuffer = 1<<16, 1<<16 })
		transporttest.Send(t, a, transporttest.To(t, a, queues[0]), "one", "two")
		require.Eventually(t, func() bool {
			for i, q := range queues {
				pkts := make([]transport.RxPacket, 3)
				if n, _ := q.Recv(pkts); n > 0 {
					reached[i]++
					q.Release(pkts[:n])
					return n == 2
				}
			}
			return false
		}, transporttest.Patience, time.Millisecond)
	}
	require.Greater(t, len(reached), 1, "64 flows, one queue")
}

func TestRoomAfterAFullSendBufferIsSaidOnce(t *testing.T) {
	t.Parallel()
	s := opened(t, "127.0.0.1:0")
	s.tx.full = true // loopback delivers at once, and never is
	require.NoError(t, s.Wait(-1))
	require.False(t, s.tx.full)

	s.tx.full = true
	s.Wake()
	require.NoError(t, s.Wait(-1))
	require.True(t, s.tx.full, "that was the wake-up")
}

// TestAFailedOpenLeavesNoDescriptor is not parallel: others would open some
// meanwhile.
func TestAFailedOpenLeavesNoDescriptor(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(fds)
	}
	taken := DefaultConfig()
	taken.Address = opened(t, "127.0.0.1:0").LocalAddr().String()
	before := open()
	for range 10 {
		_, err := Open(taken, 0, 1)
		require.Error(t, err)
	}
	require.Equal(t, before, open())
}

// The path may have shrunk under one run: the datagrams of the next may all fit.
func TestARunThatIsTooLongForThePathDoesNotEndSegmentation(t *testing.T) {
	t.Parallel()
	s := &socket{}
	for errno, lasting := range map[unix.Errno]bool{unix.EMSGSIZE: false, unix.EIO: true} {
		f := front{}
		s.tx.Runs[0].Packets = 3
		require.Zero(t, s.refused(&f, &transport.TxPacket{}, errno), "each is tried by itself")
		require.Equal(t, front{plain: 3, lasting: lasting}, f)
	}
}
