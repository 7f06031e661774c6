package packet_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// keyed has a site take and make only connections sealed with a pre-shared key.
func keyed(key byte, others ...byte) func(*packet.Config) {
	return func(c *packet.Config) {
		keys := [][psk.KeySize]byte{{key}}
		for _, k := range others {
			keys = append(keys, [psk.KeySize]byte{k})
		}
		security, err := psk.New(keys, rand.NewChaCha8(c.Seed))
		if err != nil {
			panic(err)
		}
		c.Security, c.Handshakes = security, 16
	}
}

func TestASealedConnectionCarriesWhatAPlainOneDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair(keyed(1))
	w.deliver(out, in, 10, 100, 300)
	w.deliver(out, in, 3, 10, 100_000)
	w.deliver(in, out, 3, 10, 100_000)
	require.Equal(t, psk.Peer{}, out.conn.Peer())
	require.Equal(t, psk.Peer{}, in.conn.Peer())
	require.Equal(t, 1472, out.conn.MTU(), "the tag has its place in the datagram")
	require.Equal(t, 1472-wire.HeaderSize-16, out.conn.Room())
	w.settled(server, client)
	require.Zero(t, server.Stats().RxForged+client.Stats().RxForged)
}

func TestNothingOfASealedConnectionCanBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	word := bytes.Repeat([]byte("secret"), 50)
	types := map[wire.Type]int{}
	server, client := w.add(keyed(1)), w.add(keyed(1))
	w.fate = func(p *sim.Packet) sim.Verdict {
		require.NotContains(t, string(p.Data), "secret")
		types[typeOf(p.Data)]++
		sealed := p.Data[2]&wire.FlagSealed != 0
		switch typ := typeOf(p.Data); typ {
		case wire.Data, wire.Ack, wire.Close:
			require.True(t, sealed)
			require.Zero(t, p.Data[2]&wire.FlagChecksum)
		case wire.Hello, wire.Retry:
			require.False(t, sealed)
		}
		return sim.Verdict{}
	}
	out, in := w.connect(client, server)
	for range 100 {
		out.send(word)
		in.send(word)
	}
	w.until(func() bool { return out.arrived == 100 && in.arrived == 100 })
	w.run(time.Second)
	out.conn.Close("that is all")
	w.until(func() bool { return in.gone })
	require.NotZero(t, types[wire.Close])
	require.NotZero(t, types[wire.Ack])
	require.Zero(t, types[wire.Accept])
}

func TestASealedConnectionIsMadeWhateverIsLost(t *testing.T) {
	t.Parallel()
	for seed := range seeds(50) {
		w := newWorld(t, seed)
		server, client := w.add(keyed(1)), w.add(keyed(1))
		w.faults(sim.Faults{Loss: 0.3, Duplicate: 0.2, Reorder: 0.3, ReorderDelay: 200 * time.Microsecond, Corrupt: 0.02})
		out := client.dial(server.addr)
		w.until(func() bool { return out.ups > 0 })
		in := server.accept()
		w.until(func() bool { return in.ups > 0 })
		w.deliver(out, in, 5, 30, 3000)
		w.deliver(in, out, 5, 30, 3000)
	}
}
