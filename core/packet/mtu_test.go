package packet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestTheMTUIsProbedUpToWhatTheLinkCarries(t *testing.T) {
	t.Parallel()
	for _, mtu := range []int{1472, 4096, 8972} {
		w := newWorld(t, 20)
		w.link.MTU = mtu + headers
		server, client, out, in := w.pair()
		require.Equal(t, mtu, out.conn.MTU())
		require.Equal(t, mtu, in.conn.MTU())
		w.settled(server, client)
	}
}

// narrow loses datagrams of more than so many bytes.
func (w *world) narrow(bytes int) {
	w.fate = func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: len(p.Data) > bytes} }
}

func TestAPathNarrowerThanBothLinksIsFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 21)
	w.link.MTU = 9000
	w.narrow(1472)
	server, client, out, in := w.pair()
	w.deliver(out, in, 1, 1, 100_000)
	w.run(100 * time.Millisecond)
	require.Equal(t, 1472, out.conn.MTU())
	w.deliver(out, in, 1, 1, 100_000)
	require.Zero(t, client.Stats().MTUReductions)
	w.settled(server, client)
}

func TestAPathThatShrinksIsFoundOutAndThatItGrewAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 22)
	w.link.MTU = 9000
	server, client, out, in := w.pair()
	require.Equal(t, 8972, out.conn.MTU())
	w.narrow(1300)
	w.deliver(out, in, 8, 20, 50_000)
	require.EqualValues(t, 1, client.Stats().MTUReductions)
	require.Less(t, out.conn.MTU(), 1300)
	w.heal()
	w.run(11 * time.Minute)
	require.Equal(t, 8972, out.conn.MTU(), "it is probed again")
	w.deliver(out, in, 8, 20, 50_000)
	w.settled(server, client)
}

func TestAnOutageDoesNotShrinkTheMTU(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 32)
	_, client, out, _ := w.pair()
	require.Equal(t, 1472, out.conn.MTU())
	w.partition()
	out.send(blobOf(0, 3000))
	w.run(500 * time.Millisecond)
	require.Zero(t, client.Stats().MTUReductions, "silence says nothing of the size")
	w.heal()
	w.until(func() bool { return out.arrived == 1 })
	w.run(5 * time.Second)
	require.Equal(t, 1472, out.conn.MTU())
}
