package packet_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// bothWays tells a story of each end of a connection: at is where something odd
// arrives, from is its remote.
func bothWays(t *testing.T, story func(w *world, at, from *site, to, of *blobs), set ...func(*packet.Config)) {
	for _, toServer := range []bool{true, false} {
		w := newWorld(t, 1)
		server, client, out, in := w.pair(set...)
		w.deliver(out, in, 1, 1, 100)
		w.deliver(in, out, 1, 1, 100)
		w.run(10 * time.Millisecond)
		if toServer {
			story(w, server, client, in, out)
		} else {
			story(w, client, server, out, in)
		}
	}
}

// forge has a datagram arrive as if the remote had sent it: a header, of which only
// names and number need not be given, and what follows it.
func (w *world) forge(at, from *site, to *blobs, h wire.Header, rest []byte) {
	c := to.conn.Inside()
	h.Connection, h.Token = c.Index, c.Token
	if h.Type == wire.Data && h.Number == 0 {
		h.Number = uint32(c.Expected)
	}
	data := make([]byte, 200+len(rest))
	n := h.Put(data)
	data = data[:n+copy(data[n:], rest)]
	if h.Flags&wire.FlagChecksum != 0 {
		wire.Seal(data, nil)
	}
	at.port.Deliver(from.addr, data, transport.NotECT)
	w.run(0)
}

// aBlob is a piece of a datagram that holds a whole blob.
func aBlob(number byte) []byte { return []byte{blobMark, number, 0, 0, 0, 0, 0, 0, 0, 1, 0, number} }

// One damaged field costs one datagram. A remote that goes on so is of no use, and
// given up as silent.
func TestADatagramThatAcknowledgesWhatWasNeverSentIsDropped(t *testing.T) {
	t.Parallel()
	bothWays(t, func(w *world, at, from *site, to, of *blobs) {
		for _, typ := range []wire.Type{wire.Data, wire.Ack} {
			before := at.Stats()
			odd := wire.Header{Type: typ}
			odd.Acks = wire.AckBlock{Words: 1, Largest: uint32(to.conn.Inside().Next), Bitmap: [8]uint64{1 << 63}}
			w.forge(at, from, to, odd, aBlob(200))
			require.Equal(t, before.RxMalformed+1, at.Stats().RxMalformed)
			require.NotContains(t, to.received, uint32(200))
			require.Zero(t, at.Stats().PeersFailed)
		}
		w.deliver(of, to, 1, 1, 100) // of the same number as what was dropped
		w.deliver(to, of, 1, 1, 100)

		w.fate = func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: p.To == at.addr} }
		began := w.Now()
		for at.Stats().PeersFailed == 0 {
			odd := wire.Header{Type: wire.Ack, Acks: wire.AckBlock{Words: 1, Largest: uint32(to.conn.Inside().Next) + 9, Bitmap: [8]uint64{1 << 63}}}
			w.forge(at, from, to, odd, nil)
			w.run(10 * time.Millisecond)
			require.Less(t, w.Now()-began, 4*time.Second)
		}
	})
}

func TestANumberThatNoPacketHasIsNoPackets(t *testing.T) {
	t.Parallel()
	x := newByHand(t)
	x.take(helloDatagram(x.cookied(*helloOf(1, 3))))
	c := slices.Collect(x.Conns())[0]
	for _, number := range []uint32{0, 1<<32 - 1, 1 << 31} {
		data, h := make([]byte, 100), wire.Header{Type: wire.Data, Flags: wire.FlagAckNow, Number: number}
		h.Connection, h.Token = c.Inside().Index, c.Inside().Token
		n := h.Put(data)
		sent := x.tr.sent
		x.take(data[:n+copy(data[n:], aBlob(1))])
		require.Equal(t, sent, x.tr.sent, "it is not acknowledged")
		require.Zero(t, c.Inside().Expected)
	}
	require.EqualValues(t, 3, x.Stats().RxMalformed)
}

func TestATokenOfZeroIsNone(t *testing.T) {
	t.Parallel()
	x := newByHand(t)
	hello := helloOf(1, 0)
	x.take(helloDatagram(hello))
	require.Zero(t, x.tr.sent, "Hello")
	require.EqualValues(t, 1, x.Stats().RxMalformed)

	w := newWorld(t, 1)
	w.fate = func(p *sim.Packet) sim.Verdict {
		if typeOf(p.Data) == wire.Accept {
			clear(p.Data[wire.HeaderSize+wire.ChecksumSize+4:][:4])
			wire.Seal(p.Data, nil)
		}
		return sim.Verdict{}
	}
	client := w.add()
	out := client.dial(w.add().addr)
	w.until(func() bool { return len(out.failures) == 1 })
	require.Zero(t, out.ups, "Accept")
	require.NotZero(t, client.Stats().RxMalformed)
}

func TestADuplicateIsAcknowledgedAndNotLookedAt(t *testing.T) {
	t.Parallel()
	bothWays(t, func(w *world, at, from *site, to, of *blobs) {
		w.fate = func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: p.From == at.addr} }
		to.send(blobOf(0, 10))
		w.run(0)
		under := to.conn.Inside()
		require.Equal(t, 1, under.InFlight)
		again := wire.Header{Type: wire.Data, Number: uint32(under.Expected) - 1}
		again.Acks = wire.AckBlock{Words: 1, Largest: uint32(under.Next) - 1, Bitmap: [8]uint64{1 << 63}}
		before, acks := at.Stats(), w.sent
		w.forge(at, from, to, again, aBlob(200))
		require.Equal(t, before.RxDuplicate+1, at.Stats().RxDuplicate)
		require.Equal(t, 1, to.conn.Inside().InFlight, "what it acknowledges does not count")
		require.NotContains(t, to.received, uint32(200))
		require.Equal(t, acks+1, w.sent, "acknowledged at once")
		again.Number = 0 // as the next packet
		w.forge(at, from, to, again, nil)
		require.Zero(t, to.conn.Inside().InFlight)
	})
}

func TestAChecksumThatIsThereIsRight(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		bothWays(t, func(w *world, at, from *site, to, of *blobs) {
			next := to.conn.Inside().Expected
			before := at.Stats()
			damaged := wire.Header{Type: wire.Data, Flags: wire.FlagChecksum}
			w.fate = nil
			data := make([]byte, 200)
			damaged.Connection, damaged.Token, damaged.Number = to.conn.Inside().Index, to.conn.Inside().Token, uint32(next)
			n := damaged.Put(data)
			data = data[:n+copy(data[n:], aBlob(200))]
			wire.Seal(data, nil)
			right := bytes.Clone(data)
			data[len(data)-1] ^= 1
			at.port.Deliver(from.addr, data, transport.NotECT)
			w.run(0)
			require.Equal(t, before.RxChecksum+1, at.Stats().RxChecksum)
			require.Equal(t, next, to.conn.Inside().Expected)
			at.port.Deliver(from.addr, right, transport.NotECT)
			w.run(0)
			require.Contains(t, to.received, uint32(200), "one that is right is welcome")

			w.forge(at, from, to, wire.Header{Type: wire.Data}, aBlob(201))
			require.Equal(t, asked, at.Stats().RxChecksum == before.RxChecksum+2, "none is enough where none was asked for")
		}, func(c *packet.Config) { c.Checksum = asked })
	}
}

// An idle connection has given its records back.
func TestAnOldAcknowledgementToAnIdleConnectionIsIgnored(t *testing.T) {
	t.Parallel()
	bothWays(t, func(w *world, at, from *site, to, of *blobs) {
		w.fate = func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: holdsBlobs(p.Data) && w.Rand().IntN(2) == 0} }
		w.deliver(to, of, 20, 100, 1000) // some are declared lost
		w.heal()
		w.run(5 * time.Second)
		require.LessOrEqual(t, to.conn.Inside().Rings, to.conn.Inside().LeastRings)
		for back := range uint32(200) {
			old := wire.Header{Type: wire.Ack}
			old.Acks = wire.AckBlock{Words: 7, Largest: uint32(to.conn.Inside().Next) - 1 - back}
			for i := range old.Acks.Bitmap {
				old.Acks.Bitmap[i] = ^uint64(0)
			}
			w.forge(at, from, to, old, nil)
		}
		w.deliver(to, of, 1, 1, 100)
		require.Zero(t, at.Stats().PeersFailed)
	})
}
