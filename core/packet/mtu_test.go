package packet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
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

// On a path that carries no large datagrams probes are lost, and on any they take
// room. Neither is a message's matter: not where the remote takes one packet at a
// time, nor where window or rate let hardly anything out.
func TestProbesOfTheMTUDelayNoMessage(t *testing.T) {
	t.Parallel()
	for _, carries := range []int{1200, 1472, 8972} {
		for name, set := range map[string]func(*packet.Config){
			"1 credit": func(c *packet.Config) { c.Credits = 1 },
			"a small window": func(c *packet.Config) {
				c.Controller = func(cc.Path) cc.Controller { return &dictate{window: 1200} }
			},
			"a low rate": func(c *packet.Config) {
				c.Controller = func(cc.Path) cc.Controller { return &dictate{window: 1 << 20, rate: 1 << 20} }
			},
		} {
			w := newWorld(t, 1)
			w.link.MTU = 9000
			w.narrow(carries)
			server, client := w.add(set), w.add(set)
			out := client.dial(server.addr)
			began := w.Now()
			w.until(func() bool { return out.ups == 1 })
			in := server.accepted[0]
			for i := range 5 {
				for _, b := range []*blobs{out, in} {
					b.send(blobOf(i, 32))
					w.until(func() bool { return b.arrived == i+1 })
				}
			}
			// Of each blob it takes as long to hear that it arrived as an acknowledgement
			// may wait.
			require.Less(t, w.Now()-began, 10*(500*time.Microsecond+3*oneWay)+8*oneWay, "%s, %d bytes", name, carries)
			w.run(time.Second)
			require.Equal(t, carries, out.conn.MTU(), name)
			require.Equal(t, carries, in.conn.MTU(), name)
			require.Zero(t, client.Stats().ProbeTimeouts+server.Stats().ProbeTimeouts, name)
			w.settled(server, client)
		}
	}
}
