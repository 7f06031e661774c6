package xdp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Whatever is done in whatever order, no frame is lost, and none is lent twice.
func TestNoFrameIsLost(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		for _, mtu := range []int{1500, 9000} {
			t.Run(fmt.Sprint(m, " ", mtu), func(t *testing.T) {
				w := wired(t, mtu, fourAddresses...)
				near, far := opened(t, w.near.xdp(mode(m))), opened(t, w.far.xdp(mode(m)))
				reaches(t, near, far, far.LocalAddr())
				reaches(t, far, near, near.LocalAddr())
				random := rand.New(rand.NewPCG(3, 4))
				var ends [2]*holder
				for i, tr := range []transport.Transport{near, far} {
					route, err := tr.Resolve([]transport.Transport{far, near}[i].LocalAddr(), tr.LocalAddr().Addr())
					require.NoError(t, err)
					ends[i] = &holder{queue: tr.(*queue), t: t, route: route}
				}
				for range 20_000 {
					ends[random.IntN(2)].act(random)
				}
				for _, e := range ends {
					e.requireAll()
				}
			})
		}
	}
}

// holder is a queue, and what its owner has of it.
type holder struct {
	*queue
	t     *testing.T
	route transport.Route
	heads []transport.TxPacket
	views []transport.RxPacket
}

func (h *holder) act(random *rand.Rand) {
	n := random.IntN(20)
	switch random.IntN(5) {
	case 0:
		more := make([]transport.TxPacket, n)
		h.heads = append(h.heads, more[:h.Reserve(more)]...)
	case 1:
		n = min(n, len(h.heads))
		for i := range h.heads[:n] {
			p := &h.heads[i]
			p.Route, p.Head = h.route, p.Head[:random.IntN(h.caps.MaxPayload)]
			switch random.IntN(10) {
			case 0:
				p.Route = 1 << 20 // nobody's
			case 1:
				p.Payload = make([]byte, h.caps.MaxPayload+1) // too large
			}
		}
		taken, err := h.Send(h.heads[:n])
		require.NoError(h.t, err)
		for i := range h.heads[taken:n] {
			h.heads[taken+i].Head = h.heads[taken+i].Head[:h.caps.MaxPayload]
			h.heads[taken+i].Payload = nil
		}
		h.heads = h.heads[taken:]
	case 2:
		rx := make([]transport.RxPacket, n)
		k, err := h.Recv(rx)
		require.NoError(h.t, err)
		h.views = append(h.views, rx[:k]...)
	case 3:
		n = min(n, len(h.views))
		h.Release(h.views[:n])
		h.views = h.views[n:]
	case 4:
		require.NoError(h.t, h.Wait(0))
	}
	requireCounted(h.t, h.queue)
	require.Equal(h.t, len(h.heads), h.reserved)
	require.Equal(h.t, len(h.views), h.held+h.large.n-len(h.large.idle))
}

// requireAll looks at the frames themselves, as far as they are not in a ring.
func (h *holder) requireAll() {
	h.t.Helper()
	seen := map[uint64]bool{}
	see := func(addr uint64) {
		frame := addr / uint64(h.umem.FrameSize())
		require.False(h.t, seen[frame], "frame %d is in two places", frame)
		seen[frame] = true
	}
	for _, p := range h.heads {
		see(h.umem.Address(p.Head))
	}
	for _, p := range h.views {
		if p.Handle&assembled == 0 {
			see(p.Handle)
		}
	}
	for _, free := range []*xsk.Frames{&h.rxFrames, &h.txFrames} {
		for range free.Len() {
			see(free.Take())
		}
	}
}

// The kernel has few frames, which stay in the cache, until a burst wanted more.
func TestAfterABurstThereIsRoomForALargerOne(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			w := wired(t, 1500, fourAddresses...)
			near := opened(t, w.near.xdp(mode(m)))
			far := opened(t, w.far.xdp(func(c *Config) { c.Mode, c.RxRing = m, 2048 }))
			reaches(t, near, far, far.LocalAddr())
			q, route := far.(*queue), transporttest.To(t, near, far)
			require.Equal(t, fewPlaces, q.places)
			lost := far.Stats().RxOverflow
			for burst, places := 400, 2*fewPlaces; places <= 2048; burst, places = 2*burst, 2*places {
				want := transporttest.Numbered(burst, 20)
				transporttest.Send(t, near, route, want...)
				require.Equal(t, want, transporttest.Texts(t, far, burst))
				_, _ = take(t, far) // and has the kernel have more
				require.Equal(t, places, q.places)
				requireCounted(t, q)
			}
			require.Equal(t, lost, far.Stats().RxOverflow)
		})
	}
}
