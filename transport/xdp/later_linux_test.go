package xdp

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/seccomptest"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

// What the kernel does not take, for want of memory or because the device is down, stays in the ring: it is neither lost
// nor counted as sent, its frames are accounted for, and it leaves in order with a later look.
func TestWhatTheKernelDoesNotTakeIsSentLater(t *testing.T) {
	_, near, far := connected(t)
	q, route := near.(*queue), transporttest.To(t, near, far)
	for _, errno := range []unix.Errno{unix.ENOBUFS, unix.ENOMEM, unix.ENETDOWN, unix.EAGAIN} {
		before, want := near.Stats(), []string{}
		require.NoError(t, seccomptest.Refusing(unix.SYS_SENDTO, errno, func() error {
			for i := range 10 {
				want = append(want, fmt.Sprint(errno, " ", i))
				p := transporttest.Loaded(t, near, route, want[i])
				if n, err := near.Send(p); n != 1 || err != nil {
					return fmt.Errorf("datagram %d: %d taken, %w", i, n, err)
				}
			}
			_, err := near.Recv(make([]transport.RxPacket, 1)) // looks at what is left as well
			return err
		}))
		requireCounted(t, q)
		require.Equal(t, 10, q.socket.TX.Left())
		after := near.Stats()
		require.Equal(t, before.TxPackets, after.TxPackets, "%v", errno)
		require.Equal(t, before.TxRefused, after.TxRefused, "%v", errno)

		_, _ = take(t, near)
		require.Equal(t, want, transporttest.Texts(t, far, len(want)), "%v", errno)
		require.Equal(t, before.TxPackets+10, near.Stats().TxPackets, "%v", errno)
		requireCounted(t, q)
	}
}

// Send takes no more than the ring has room for, however long the kernel takes nothing, and Wait ends when it does again.
func TestAFullRingEndsWhenTheKernelTakesAgain(t *testing.T) {
	w := wired(t, 1500, fourAddresses...)
	near, far := opened(t, w.near.xdp(func(c *Config) { c.TxRing = 64 })), opened(t, w.far.xdp(nil))
	reaches(t, near, far, far.LocalAddr())
	q, route := near.(*queue), transporttest.To(t, near, far)
	want := transporttest.Numbered(q.port.cfg.TxRing+1, 20)
	var late []transport.TxPacket
	require.NoError(t, seccomptest.Refusing(unix.SYS_SENDTO, unix.ENOBUFS, func() error {
		for i, text := range want {
			p := transporttest.Loaded(t, near, route, text)
			n, err := near.Send(p)
			if err != nil {
				return err
			}
			if i == len(want)-1 {
				late = p
			}
			assert.Equal(t, i < len(want)-1, n == 1, "datagram %d", i)
		}
		return near.Wait(0)
	}))
	require.True(t, q.full)
	require.NoError(t, near.Wait(-1))
	n, err := near.Send(late)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, want, transporttest.Texts(t, far, len(want)))
	requireCounted(t, q)
}
