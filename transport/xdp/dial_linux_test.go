package xdp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

var (
	_ transport.Dialer      = (*queue)(nil)
	_ transport.ApartDialer = (*queue)(nil)
	_ transport.Pollable    = (*queue)(nil)
)

func TestRoutesApartComeFromPortsOfTheirOwn(t *testing.T) {
	for _, c := range []struct{ mode, peer string }{{"native", "xdp"}, {"native", "udp"}, {"generic", "xdp"}, {"generic", "udp"}} {
		t.Run(c.mode+" "+c.peer, func(t *testing.T) {
			w := wired(t, 1500, fourAddresses...)
			near := opened(t, w.near.xdp(mode(c.mode)))
			far := opened(t, map[string]opener{"xdp": w.far.xdp(mode(c.mode)), "udp": w.far.udp}[c.peer])
			seen := map[uint16]bool{near.LocalAddr().Port(): true}
			for range 3 {
				var route transport.Route
				var port uint16
				require.NoError(t, w.near.space.Do(func() (err error) {
					route, port, err = near.(transport.ApartDialer).DialApart(far.LocalAddr())
					return err
				}))
				require.False(t, seen[port], "nothing else comes from port %d", port)
				seen[port] = true
				reachesBy(t, near, far, route)

				from := netip.AddrPortFrom(near.LocalAddr().Addr(), port)
				back, err := far.Resolve(from, netip.Addr{})
				require.NoError(t, err)
				rx := make([]transport.RxPacket, 1)
				transporttest.Within(t, func() bool {
					send(t, far, back, "an answer")
					n, err := near.Recv(rx)
					require.NoError(t, err)
					return n == 1
				})
				require.Equal(t, port, rx[0].Port, "it is told what the answer came to")
				near.Release(rx)

				_, err = w.near.udp(port)
				require.Error(t, err, "no other program has that port")
				near.Forget(route)
				other, err := w.near.udp(port)
				require.NoError(t, err, "it is free again")
				require.NoError(t, other.Close())
			}
		})
	}
}

func TestADescriptorIsReadableWhenADatagramHasCome(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			w := wired(t, 1500, fourAddresses...)
			near, far := opened(t, w.near.xdp(mode(m))), opened(t, w.far.xdp(mode(m)))
			reaches(t, near, far, far.LocalAddr())
			fds := []unix.PollFd{{Fd: int32(far.(transport.Pollable).Descriptor()), Events: unix.POLLIN}}
			transporttest.Within(t, func() bool { // some may be late
				_, _ = take(t, far)
				n, err := unix.Poll(fds, 10)
				return err == nil && n == 0
			})
			route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
			require.NoError(t, err)
			send(t, near, route, "hello")
			transporttest.Within(t, func() bool {
				n, err := unix.Poll(fds, 10)
				return err == nil && n == 1
			})
			texts, _ := take(t, far)
			require.Contains(t, texts, "hello")
		})
	}
}

// veth does not tell its hash; here it is said to have one.
func TestAConnectionBeginsAtAPortWhoseAnswersArriveHere(t *testing.T) {
	w := wiredQueues(t, 1500, 2, 2, fourAddresses...)
	var queues [2]transport.Transport
	for i := range queues {
		var err error
		queues[i], err = w.near.open(w.near.config(), i, 2)
		require.NoError(t, err)
		defer queues[i].Close()
	}
	far := opened(t, w.far.udp)
	dial := func(tr transport.Transport) (route transport.Route) {
		require.NoError(t, w.near.space.Do(func() (err error) {
			route, err = transport.Dial(tr, far.LocalAddr())
			return err
		}))
		return route
	}
	route := dial(queues[1])
	require.Nil(t, queues[1].(*queue).routes.Get(uint32(route)).dialed, "nothing is known of the hash")

	p := queues[0].(*queue).port
	p.device.rss = rss{bytes.Repeat([]byte{0x6d, 0x5a}, 20), []uint16{0, 1}}
	for i, tr := range queues {
		route := dial(tr)
		d := tr.(*queue).routes.Get(uint32(route))
		require.NotNil(t, d.dialed)
		hash := netstack.Toeplitz(p.device.rss.key)(d.to, d.from)
		require.EqualValues(t, i, hash%2)

		// The answer arrives at one of us, whatever the kernel's own hash says.
		var from netip.AddrPort
		transporttest.Within(t, func() bool {
			send(t, tr, route, "hello")
			require.NoError(t, far.Wait(10*time.Millisecond))
			_, _ = take(t, tr)
			_, all := take(t, far)
			if len(all) > 0 {
				from = all[0]
			}
			return from.IsValid()
		})
		require.Equal(t, d.from, from)
		back, err := far.Resolve(from, netip.Addr{})
		require.NoError(t, err)
		transporttest.Within(t, func() bool {
			send(t, far, back, "good day")
			for _, q := range queues {
				if texts, _ := take(t, q); len(texts) > 0 {
					return true
				}
			}
			return false
		})

		_, err = w.near.udp(from.Port())
		require.Error(t, err, "no other program has that port")
		tr.Forget(route)
		other, err := w.near.udp(from.Port())
		require.NoError(t, err)
		reaches(t, far, other, from)
		require.NoError(t, other.Close())
	}
}
