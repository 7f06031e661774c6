package xdp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
	"github.com/peregrine-rpc/peregrine/transport"
)

var _ transport.Forwarder = (*queue)(nil)

// between two wires, one host has an interface of each, with one memory.
func joined(t *testing.T, mtu int, settings func(*Config)) (client transport.Transport, in, out *queue, server transport.Transport) {
	t.Helper()
	left := wired(t, mtu, fourAddresses...)
	t.Setenv(wireVariable, "") // another one
	right := wired(t, mtu, "fd09::1/64", "fd09::2/64")
	same := func(c *Config) {
		c.Memory = t.Name()
		if settings != nil {
			settings(c)
		}
	}
	client, in = opened(t, left.near.xdp(nil)), opened(t, left.far.xdp(same)).(*queue)
	out, server = opened(t, right.near.xdp(same)).(*queue), opened(t, right.far.xdp(nil))
	reaches(t, client, in, in.LocalAddr())
	reaches(t, in, client, client.LocalAddr())
	reaches(t, out, server, server.LocalAddr())
	reaches(t, server, out, out.LocalAddr())
	return client, in, out, server
}

// What arrives by one interface leaves by another, with other headers, from where it
// lies; and nothing is lost of either's memory.
func TestWhatOneInterfaceReceivedAnotherSendsAsItLies(t *testing.T) {
	for _, m := range []string{"native", "generic"} {
		t.Run(m, func(t *testing.T) {
			client, in, out, server := joined(t, 1500, mode(m))
			require.True(t, out.Forwards(in))
			require.True(t, in.Forwards(out))
			require.False(t, out.Forwards(server))
			require.Same(t, in.umem, out.umem)
			there, err := client.Resolve(in.LocalAddr(), netip.Addr{})
			require.NoError(t, err)
			onward, err := out.Resolve(server.LocalAddr(), netip.Addr{})
			require.NoError(t, err)
			before := out.Stats()
			for i := range 100 {
				text := fmt.Sprintf("%d is for somebody behind you", i)
				p := []transport.TxPacket{{Route: there, ECN: transport.CE}}
				transporttest.Within(t, func() bool { return client.Reserve(p) == 1 })
				p[0].Head = p[0].Head[:copy(p[0].Head, text)]
				_, err := client.Send(p)
				require.NoError(t, err)

				rx := make([]transport.RxPacket, 1)
				transporttest.Within(t, func() bool {
					require.NoError(t, in.Wait(0))
					n, err := in.Recv(rx)
					require.NoError(t, err)
					return n == 1
				})
				n, err := out.Forward(in, rx, []transport.Route{onward})
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.Zero(t, rx[0])

				transporttest.Within(t, func() bool {
					n, err := server.Recv(rx)
					require.NoError(t, err)
					return n == 1
				})
				require.Equal(t, text, string(rx[0].Data))
				require.Equal(t, out.LocalAddr(), rx[0].From)
				require.Equal(t, transport.CE, rx[0].ECN)
				server.Release(rx)
			}
			after := out.Stats()
			require.EqualValues(t, 100, after.TxForwarded-before.TxForwarded)
			require.EqualValues(t, 100, after.TxPackets-before.TxPackets)
			requireWhole(t, in, out)
		})
	}
}

// The checksum that leaves follows from the one that came: it is the sender's word for
// the payload, and not the relay's.
func TestWhatIsDamagedBetweenTwoInterfacesIsNotVouchedFor(t *testing.T) {
	client, in, out, server := joined(t, 1500, nil)
	there, err := client.Resolve(in.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	onward, err := out.Resolve(server.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	before := server.Stats().RxMalformed
	rx := make([]transport.RxPacket, 1)
	for _, damage := range []byte{0x10, 0} {
		send(t, client, there, "as it was written")
		transporttest.Within(t, func() bool {
			n, err := in.Recv(rx)
			require.NoError(t, err)
			return n == 1
		})
		rx[0].Data[3] ^= damage
		_, err = out.Forward(in, rx, []transport.Route{onward})
		require.NoError(t, err)
	}
	transporttest.Within(t, func() bool {
		texts, _ := take(t, server)
		return len(texts) == 1 && texts[0] == "as it was written"
	})
	require.EqualValues(t, 1, server.Stats().RxMalformed-before)
	requireWhole(t, in, out)
}

// requireWhole requires that nobody has frames of another's any more.
func requireWhole(t *testing.T, all ...*queue) {
	t.Helper()
	for _, q := range all {
		transporttest.Within(t, func() bool {
			require.NoError(t, q.Wait(0))
			for _, other := range all {
				take(t, other)
			}
			return q.lent == 0 && q.foreign.n == 0
		})
		requireCounted(t, q)
	}
}

// requireCounted requires that each frame is in one place.
func requireCounted(t *testing.T, q *queue) {
	t.Helper()
	l := q.memory.layout
	require.Equal(t, l.receive, q.rxFrames.Len()+q.filled+q.held+q.lent, "of receiving")
	sending := 0
	for _, left := range q.pieces.left {
		if left > 0 {
			sending++
		}
	}
	if q.pieces.left == nil {
		sending = q.inFlight - q.foreign.n
	}
	require.Equal(t, l.send, q.txFrames.Len()+q.reserved+sending, "of sending")
}

func TestWhatCannotBeForwardedCostsItsFrameOnlyForNow(t *testing.T) {
	client, in, out, server := joined(t, 1500, nil)
	there, err := client.Resolve(in.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	onward, err := out.Resolve(server.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	back, err := in.Resolve(client.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	_, err = out.Forward(server, nil, nil)
	require.ErrorContains(t, err, "without the same memory")

	random := rand.New(rand.NewPCG(7, 8))
	var held []transport.RxPacket
	for range 3000 {
		for range random.IntN(8) {
			p := []transport.TxPacket{{Route: there}}
			if client.Reserve(p) == 1 {
				p[0].Head = p[0].Head[:random.IntN(1473)] // IPv6 has room for less
				_, err := client.Send(p)
				require.NoError(t, err)
			}
		}
		rx := make([]transport.RxPacket, 8)
		n, err := in.Recv(rx)
		require.NoError(t, err)
		held = append(held, rx[:n]...)
		some := random.IntN(len(held) + 1)
		var routes []transport.Route
		for range some {
			routes = append(routes, []transport.Route{onward, 1 << 20}[random.IntN(10)/9])
		}
		switch random.IntN(3) {
		case 0:
			in.Release(held[:some])
		case 1:
			some, err = out.Forward(in, held[:some], routes)
		case 2: // out of the interface that it came by
			for i := range routes {
				routes[i] = back
			}
			some, err = in.Forward(in, held[:some], routes)
		}
		require.NoError(t, err)
		held = held[some:]
		requireCounted(t, in)
		requireCounted(t, out)
		take(t, server)
		take(t, client)
	}
	in.Release(held)
	require.Positive(t, out.Stats().TxTooLarge)
	require.Positive(t, out.Stats().TxRefused)
	requireWhole(t, in, out)
	reaches(t, client, in, in.LocalAddr())
}

// A queue may end while another sends what it received, and the other way round. Its
// memory serves another one when nobody has any of it.
func TestAQueueMayEndWhileAnotherSendsItsFrames(t *testing.T) {
	for _, first := range []string{"who received", "who sends"} {
		t.Run(first, func(t *testing.T) {
			client, in, out, _ := joined(t, 1500, nil)
			there, err := client.Resolve(in.LocalAddr(), netip.Addr{})
			require.NoError(t, err)
			send(t, client, there, "the last one")
			rx := make([]transport.RxPacket, 1)
			transporttest.Within(t, func() bool {
				n, err := in.Recv(rx)
				require.NoError(t, err)
				return n == 1
			})
			// As after Forward, with a device that takes its time.
			in.held--
			in.lent++
			in.block.lend(1)
			out.foreign.add(rx[0].Handle/uint64(in.umem.FrameSize()), out.memory.frames())
			m := in.memory
			if first == "who sends" {
				require.NoError(t, out.Close())
				requireWhole(t, in)
				return
			}
			block := in.block
			require.NoError(t, in.Close())
			require.False(t, block.takenBy(in), "out has a frame of it")
			require.NoError(t, out.Close())
			require.True(t, block.takenBy(in))
			require.Zero(t, m.users)
			require.Empty(t, ports.memories)
		})
	}
}

func TestAMemoryHasRoomForThoseItWasToldOf(t *testing.T) {
	left := wired(t, 1500, fourAddresses...)
	t.Setenv(wireVariable, "") // another one
	right := wired(t, 1500, "10.11.0.1/24", "10.11.0.2/24")
	same := func(c *Config) { c.Memory = "common" }
	opened(t, left.near.xdp(same))
	requireRefused(t, left.far, func(c *Config) { same(c); c.RxRing = 1024 }, "the same MTU, rings, buffers")
	opened(t, left.far.xdp(same))
	requireRefused(t, right.near, same, "is for 2 queues", "sharers")
	opened(t, right.near.xdp(func(c *Config) { c.Memory = "another" }))
}
