package xdp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/transport"
)

var _ transport.Dialer = (*queue)(nil)

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
		hash := netstack.Toeplitz(p.device.rss.key, d.to, d.from)
		require.EqualValues(t, i, hash%2)

		// The answer arrives at one of us, whatever the kernel's own hash says.
		var from netip.AddrPort
		within(t, func() bool {
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
		within(t, func() bool {
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
