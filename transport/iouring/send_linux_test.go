package iouring

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netns"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/transport"
)

func TestAKernelThatRefusesToCutRunsGetsSinglePackets(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		if !a.Caps().SegmentTx {
			return
		}
		// Without checksums the kernel cuts nothing apart: EINVAL.
		require.NoError(t, unix.SetsockoptInt(inside(a).sock.FD, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1))
		r := transporttest.To(t, a, b)
		for i := range uint64(2) {
			want := transporttest.Numbered(64, 48)
			transporttest.Send(t, a, r, want...)
			completed(t, a, 64*(i+1)) // an owner who never calls sends nothing again
			require.Equal(t, want, transporttest.Texts(t, b, 64))
		}
		require.Zero(t, a.Stats().TxRefused)
		require.Equal(t, uint64(128), a.Stats().TxPackets)
		require.False(t, inside(a).tx.segment, "it is not asked again")
	})
}

func TestADestinationThatTheKernelRefusesCostsItsPacketsOnly(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, loopback), v.at(t, loopback)
		// From a loopback address there is no way out.
		outside, err := a.Resolve(netip.MustParseAddrPort("192.0.2.1:9"), netip.Addr{})
		require.NoError(t, err)
		inward := transporttest.To(t, a, b)
		for range 3 {
			transporttest.Send(t, a, outside, transporttest.Numbered(10, 48)...)
			want := transporttest.Numbered(10, 48)
			transporttest.Send(t, a, inward, want...)
			require.Equal(t, want, transporttest.Texts(t, b, 10))
		}
		completed(t, a, 60)
		require.Equal(t, uint64(30), a.Stats().TxRefused)
		require.Equal(t, uint64(30), a.Stats().TxPackets)
	})
}

// A neighbour that does not resolve holds what is sent to it, until the socket's
// buffer is full; some seconds later the kernel gives up.
func TestAFullSocketHasRoomAgain(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		place, err := netns.New()
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { require.NoError(t, place.Close()) })
		require.NoError(t, netns.Veth(1500,
			netns.Port{Namespace: place, Name: "here", Addresses: []netip.Prefix{netip.MustParsePrefix("10.7.0.1/24")}},
			netns.Port{Namespace: place, Name: "there"}))
		var a transport.Transport
		require.NoError(t, place.Do(func() error {
			a = v.at(t, "10.7.0.1:0", func(c *Config) { c.SendBuffer, c.Segment = 1<<16, false })
			return nil
		}))
		nobody, err := a.Resolve(netip.MustParseAddrPort("10.7.0.9:9"), netip.Addr{})
		require.NoError(t, err)
		var rest []transport.TxPacket
		taken := uint64(0)
		for end := time.Now().Add(transporttest.Patience); len(rest) == 0; {
			require.True(t, time.Now().Before(end), "it never fills: %+v", a.Stats())
			pkts := make([]transport.TxPacket, 64)
			pkts = pkts[:a.Reserve(pkts)]
			for i := range pkts {
				pkts[i].Route, pkts[i].Head = nobody, pkts[i].Head[:1400]
			}
			n, err := a.Send(pkts)
			require.NoError(t, err)
			taken += uint64(n)
			rest = pkts[n:]
			if len(pkts) == 0 {
				break // all buffers are under way, which is full as well
			}
		}
		for end := time.Now().Add(transporttest.Patience); len(rest) > 0 || a.Completed() < taken; {
			require.True(t, time.Now().Before(end), "there is no room: %+v", a.Stats())
			require.NoError(t, a.Wait(time.Second))
			n, err := a.Send(rest)
			require.NoError(t, err)
			taken += uint64(n)
			rest = rest[n:]
		}
		st := a.Stats()
		require.Equal(t, taken, st.TxPackets+st.TxRefused)
	})
}

func TestZeroCopyEndsWhereTheKernelCopies(t *testing.T) {
	t.Parallel()
	v := variants[3]
	a, b := v.at(t, loopback), v.at(t, loopback)
	require.Equal(t, "zero-copy", v.name)
	r := transporttest.To(t, a, b)
	for i := range 100 {
		text := strings.Repeat("x", 1000+i)
		transporttest.Send(t, a, r, text)
		require.Equal(t, []string{text}, transporttest.Texts(t, b, 1))
		completed(t, a, uint64(i+1))
	}
	st := a.Stats()
	require.Equal(t, uint64(100), st.TxPackets)
	require.Equal(t, uint64(copiedLimit), st.TxCopied, "the loopback always copies, and is asked no more")
	require.Zero(t, st.TxZeroCopied)
}

func TestManyPiecesAreCopied(t *testing.T) {
	t.Parallel()
	v := variants[3]
	a, b := v.at(t, loopback), v.at(t, loopback)
	r := transporttest.To(t, a, b)
	for _, n := range []int{1, 8, 9, 30, 64} {
		want := transporttest.Numbered(n, 1000)
		transporttest.Send(t, a, r, want...)
		require.Equal(t, want, transporttest.Texts(t, b, n))
	}
	transporttest.Send(t, a, r, strings.Repeat("x", 65507))
	require.Len(t, transporttest.Texts(t, b, 1)[0], 65507)
	st := a.Stats()
	require.Equal(t, uint64(113), st.TxPackets)
	require.Zero(t, st.TxRefused+st.TxTooLarge)
}

func TestPagesAreCounted(t *testing.T) {
	t.Parallel()
	memory := make([]byte, 4*pageSize)
	from := int(pageSize - uring.AddressOf(memory)%pageSize) // the first page that begins inside
	page := int(pageSize)
	require.Equal(t, 0, pages(nil))
	require.Equal(t, 1, pages(memory[from:from+1]))
	require.Equal(t, 1, pages(memory[from:from+page]))
	require.Equal(t, 2, pages(memory[from:from+page+1]))
	require.Equal(t, 2, pages(memory[from+page-1:from+page+1]))
}

// Memory that is sent without a copy is the kernel's while a neighbour is looked for, for a second at least: until then
// Completed does not pass it, and no more than the heads there are is taken.
func TestANeighbourThatDoesNotAnswerKeepsMemoryForSeconds(t *testing.T) {
	t.Parallel()
	place, err := netns.New()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, place.Close()) })
	require.NoError(t, netns.Veth(1500,
		netns.Port{Namespace: place, Name: "here", Addresses: []netip.Prefix{netip.MustParsePrefix("10.7.0.1/24")}},
		netns.Port{Namespace: place, Name: "there"}))
	var a transport.Transport
	require.NoError(t, place.Do(func() error {
		a = variants[3].at(t, "10.7.0.1:0", func(c *Config) { c.Segment = false })
		return nil
	}))
	nobody, err := a.Resolve(netip.MustParseAddrPort("10.7.0.9:9"), netip.Addr{})
	require.NoError(t, err)
	began, taken := time.Now(), 0
	for range 2 * txHeads {
		p := make([]transport.TxPacket, 1)
		if a.Reserve(p) == 0 {
			break
		}
		p[0].Route, p[0].Head, p[0].Payload = nobody, p[0].Head[:8], make([]byte, 1000)
		n, err := a.Send(p)
		require.NoError(t, err)
		if taken += n; n == 0 {
			break
		}
	}
	require.Positive(t, taken)
	completed(t, a, uint64(taken))
	require.GreaterOrEqual(t, time.Since(began), time.Second, "which is how long the kernel waits for one answer")
	st := a.Stats()
	require.Positive(t, st.TxZeroCopied+st.TxCopied)
	require.Equal(t, uint64(taken), st.TxPackets+st.TxRefused)
}
