package packet_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// nat stands between one client and its server, which sees an address of it.
type nat struct {
	inside, outside *sim.Port
	client, server  netip.AddrPort
}

func (*nat) NextDeadline() (time.Duration, bool) { return 0, false }

func (x *nat) Poll(time.Duration) (bool, error) {
	out, err := x.forward(x.inside, x.outside, x.server, &x.client)
	if err != nil {
		return false, err
	}
	in, err := x.forward(x.outside, x.inside, x.client, nil)
	return out || in, err
}

// forward moves a datagram on, and notes whose it was.
func (x *nat) forward(from, via *sim.Port, to netip.AddrPort, sender *netip.AddrPort) (bool, error) {
	var rx [1]transport.RxPacket
	n, err := from.Recv(rx[:])
	if n == 0 || err != nil {
		return false, err
	}
	if sender != nil {
		*sender = rx[0].From
	}
	var tx [1]transport.TxPacket
	if via.Reserve(tx[:]) == 1 && to.IsValid() {
		tx[0].Head = tx[0].Head[:copy(tx[0].Head, rx[0].Data)]
		tx[0].ECN = rx[0].ECN
		if tx[0].Route, err = via.Resolve(to, netip.Addr{}); err == nil {
			_, err = via.Send(tx[:])
			via.Forget(tx[0].Route)
		}
	}
	from.Release(rx[:])
	return true, err
}

// behindNAT adds a client that reaches a server by a NAT.
func (w *world) behindNAT(server *site, set ...func(*packet.Config)) (client *site, x *nat, out, in *blobs) {
	h := w.plug()
	x = &nat{inside: h.Open(1), outside: h.Open(2000), server: server.addr}
	h.Run(x, x.inside, x.outside)
	client = w.add(set...)
	out = client.dial(x.inside.LocalAddr())
	in = server.accept()
	w.deliver(out, in, 1, 1, 100)
	w.run(time.Second) // the MTU is known, and nothing under way
	return client, x, out, in
}

// rebind gives the client another port, or another host's address.
func (x *nat) rebind(host *sim.Host, port uint16) netip.AddrPort {
	x.outside.Close()
	x.outside = host.Open(port)
	host.Run(x, x.outside, x.inside)
	return x.outside.LocalAddr()
}

func TestARebindingNATCostsTwoSilencesOfTheKnownAddress(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} { // another address, or just another port
		w := newWorld(t, 1)
		controllers := 0
		server := w.add(func(c *packet.Config) {
			c.Controller = func(path cc.Path) cc.Controller {
				controllers++
				return cc.None(cc.DefaultWindow)(path)
			}
		})
		_, x, out, in := w.behindNAT(server)
		began := w.Now()
		w.deliver(out, in, 1, 1, 100)
		usual := w.Now() - began

		mtu := in.conn.MTU()
		require.Greater(t, mtu, wire.MinHello)
		host := w.Hosts()[1]
		if other {
			host = w.plug()
		}
		at := x.rebind(host, 3000)
		began = w.Now()
		w.deliver(out, in, 1, 1, 100)
		require.LessOrEqual(t, w.Now()-began, 2*10*time.Millisecond+3*usual+out.conn.Inside().ProbeTimeout)
		require.Len(t, server.accepted, 1)
		require.Equal(t, at, in.conn.Addr())
		require.EqualValues(t, 1, server.Stats().PeersMoved)
		if other {
			require.Equal(t, 2, controllers)
		} else {
			require.Equal(t, 1, controllers)
			require.Equal(t, mtu, in.conn.MTU())
		}
		w.run(time.Second)
		require.Equal(t, mtu, in.conn.MTU())
		w.deliver(out, in, 16, 100, 10_000)
		w.deliver(in, out, 16, 100, 10_000)
		require.Zero(t, server.Stats().PeersFailed)
		w.settled(server)
	}
}

func TestAnAddressThatChangesAmidTransfersLosesNothing(t *testing.T) {
	t.Parallel()
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.link.Rate = 1e9
		server := w.add()
		client, x, out, in := w.behindNAT(server)
		w.faults(sim.Faults{Loss: 0.02})
		hosts := []*sim.Host{w.Hosts()[1], w.plug()}
		for _, b := range []*blobs{out, in} {
			for i := range 30 {
				b.send(blobOf(i, 100_000))
			}
		}
		for port := uint16(3000); port < 3010; port++ {
			w.run(time.Duration(w.Rand().IntN(3000)) * time.Microsecond)
			x.rebind(hosts[w.Rand().IntN(2)], port)
		}
		w.until(func() bool { return out.arrived == out.sent && in.arrived == in.sent })
		for number, data := range in.received {
			require.True(t, bytes.Equal(blobOf(int(number)-1, 100_000), data))
		}
		require.NotZero(t, server.Stats().PeersMoved)
		require.Zero(t, server.Stats().PeersFailed+client.Stats().PeersFailed)
		w.heal()
		w.settled(server, client)
	}
}

func impatient(c *packet.Config) { c.KeepAlive = 400 * time.Millisecond }

func TestAClientThatOnlyListensIsFoundByItsKeepAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add(impatient)
	client, x, out, in := w.behindNAT(server, impatient)
	x.rebind(w.plug(), 9)
	in.send([]byte("here")) // to where nobody is any more
	w.until(func() bool { return server.Stats().PeersMoved == 1 })
	moved := w.Now()
	w.until(func() bool { return len(out.received) == 1 })
	require.LessOrEqual(t, w.Now()-moved, 2*oneWay+time.Microsecond, "it is sent again at once")
	require.Zero(t, server.Stats().PeersFailed+client.Stats().PeersFailed)
}

func TestAServerKeepsAClientThatANATHasForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.host.Unreachable = true
	server := w.add(impatient)
	client, x, _, in := w.behindNAT(server, impatient)
	x.rebind(w.Hosts()[1], 3000)
	in.send([]byte("after all"))
	w.run(10 * time.Millisecond)
	require.NotZero(t, server.Stats().RxUnreachable)
	w.until(func() bool { return in.arrived == 1 })
	require.Zero(t, server.Stats().PeersFailed+client.Stats().PeersFailed)
}

// spoof has the client's blobs come from other addresses, too, a little before the
// client's own, and returns what the server sends to others than the client.
func (w *world) spoof(client, server *site, source func() netip.AddrPort) *[][]byte {
	sent := new([][]byte)
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.From == client.addr && holdsBlobs(p.Data) {
			server.port.Deliver(source(), p.Data, transport.NotECT)
		}
		if p.From == server.addr && p.To != client.addr {
			*sent = append(*sent, bytes.Clone(p.Data))
		}
		return sim.Verdict{}
	}
	return sent
}

func TestAForgedSourceAddressRedirectsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	victim := w.add()
	sent := w.spoof(client, server, func() netip.AddrPort { return victim.addr })
	for size := 0; size < 1400; size += 300 {
		*sent = nil
		w.deliver(out, in, 1, 1, size)
		w.run(time.Second)
		require.Len(t, *sent, 1, "nothing but a challenge goes there")
		require.Equal(t, wire.PathChallenge, typeOf((*sent)[0]))
		require.LessOrEqual(t, len((*sent)[0]), min(wire.MinHello, 3*(size+wire.HeaderSize+blobHead)))
		require.Equal(t, client.addr, in.conn.Addr())
	}
	// The victim does not know the connection. Nor does an answer from elsewhere
	// count, or a wrong one.
	require.NotZero(t, victim.Stats().RxUnknown)
	response := bytes.Clone((*sent)[0])
	(&wire.Header{
		Type: wire.PathResponse, Flags: wire.FlagChecksum, Connection: in.conn.Inside().Index, Token: in.conn.Inside().Token,
	}).Put(response)
	answer := func(from netip.AddrPort) {
		wire.Seal(response, nil)
		server.port.Deliver(from, response, transport.NotECT)
		w.run(0)
	}
	answer(client.addr)
	response[wire.HeaderSize+wire.ChecksumSize] ^= 1
	answer(victim.addr)
	require.Equal(t, client.addr, in.conn.Addr())
	require.Zero(t, server.Stats().PeersMoved)
	w.deliver(out, in, 1, 1, 3000)
}

func TestForgedSourceAddressesMakeNoStateGrow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	w.run(time.Second)
	i := uint16(0)
	w.spoof(client, server, func() netip.AddrPort {
		i++
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 7)
	})
	began := w.Now()
	w.deliver(out, in, 16, 2000, 100)
	challenges := server.port.Stats().TxUnresolved
	require.NotZero(t, challenges)
	require.LessOrEqual(t, challenges, uint64((w.Now()-began)/time.Millisecond)+1, "one in a while")
	require.Len(t, server.accepted, 1)
	require.Zero(t, server.held().Strays)
	require.Equal(t, client.addr, in.conn.Addr())
	require.Zero(t, server.Stats().PeersMoved)
}

func TestAGuessedTokenIsRejectedAndNotFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	var valid []byte
	w.fate = func(p *sim.Packet) sim.Verdict {
		if holdsBlobs(p.Data) && valid == nil {
			valid = bytes.Clone(p.Data)
		}
		return sim.Verdict{}
	}
	w.deliver(out, in, 1, 1, 10)
	w.run(time.Millisecond)
	guessed := bytes.Clone(valid)
	guessed[8] ^= 4
	guessed[12]++ // the next number
	server.port.Deliver(client.addr, guessed, transport.NotECT)
	server.port.Deliver(stranger, guessed, transport.NotECT)
	server.port.Deliver(stranger, valid, transport.NotECT)
	w.run(time.Millisecond)
	require.EqualValues(t, 3, server.Stats().RxUnknown)
	require.Empty(t, in.received)
	require.False(t, in.conn.Inside().Challenged, "who repeats what was said is not followed")
	w.deliver(out, in, 1, 1, 10)
}

func TestAServerThatMovesIsNotFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	w.run(time.Second)
	known := wire.Header{Connection: in.conn.Inside().RemoteIndex, Token: in.conn.Inside().RemoteToken}
	data := make([]byte, 64)
	known.Type, known.Number = wire.Data, uint32(in.conn.Inside().Next)
	size := known.Put(data)
	(&wire.MessageHeader{Kind: wire.Ping}).Put(data[size:], len(data)-size-wire.MessageHeaderSize)
	client.port.Deliver(stranger, data, transport.NotECT)
	challenge := make([]byte, 96)
	known.Type, known.Flags = wire.PathChallenge, wire.FlagChecksum
	known.Put(challenge)
	wire.Seal(challenge, nil)
	client.port.Deliver(stranger, challenge, transport.NotECT)
	sent := w.sent
	w.run(0)
	require.Equal(t, sent, w.sent)
	require.EqualValues(t, 2, client.Stats().RxUnknown)
	w.deliver(out, in, 1, 1, 10)
	require.Zero(t, server.Stats().PeersMoved)
}

// thief is somebody who saw one datagram of a connection's client, and has an
// address of its own. It answers whatever challenge it gets.
type thief struct {
	port       *sim.Port
	server     *site
	header     wire.Header
	challenged int
}

func (*thief) NextDeadline() (time.Duration, bool) { return 0, false }

func (x *thief) Poll(time.Duration) (bool, error) {
	var rx [1]transport.RxPacket
	n, err := x.port.Recv(rx[:])
	if n == 0 || err != nil {
		return false, err
	}
	var h wire.Header
	rest, err := h.Parse(rx[0].Data)
	if err == nil && h.Type == wire.PathChallenge {
		x.challenged++
		x.send(wire.Header{Type: wire.PathResponse, Flags: wire.FlagChecksum}, rest)
	}
	x.port.Release(rx[:])
	return true, err
}

func (x *thief) send(h wire.Header, body []byte) {
	h.Connection, h.Token = x.header.Connection, x.header.Token
	data := make([]byte, 200+len(body))
	n := h.Put(data)
	data = data[:n+copy(data[n:], body)]
	if h.Flags&wire.FlagChecksum != 0 {
		wire.Seal(data, nil)
	}
	x.server.port.Deliver(x.port.LocalAddr(), data, transport.NotECT)
}

// thief adds one who saw the client's last datagram.
func (w *world) thief(server *site, out *blobs) *thief {
	h := w.plug()
	c := out.conn.Inside()
	x := &thief{port: h.Open(666), server: server, header: wire.Header{Connection: c.RemoteIndex, Token: c.RemoteToken}}
	h.Run(x, x.port)
	return x
}

func TestWhoSawADatagramTakesNoLiveConnectionOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	w.run(time.Second)
	w.deliver(out, in, 1, 1, 10)
	w.run(time.Second / 10)
	x := w.thief(server, out)
	next := in.conn.Inside().Expected
	for range 200 { // while the client says nothing of itself
		x.send(wire.Header{Type: wire.Data, Number: uint32(next) + 100}, nil)
		w.run(time.Millisecond)
	}
	require.NotZero(t, x.challenged)
	require.Equal(t, client.addr, in.conn.Addr())
	require.Equal(t, next, in.conn.Inside().Expected, "what it says is not taken in")
	w.deliver(in, out, 1, 1, 10)
	require.Zero(t, server.Stats().PeersMoved)
	w.settled(server, client)
}

func TestAnAcknowledgementFromElsewhereEndsNoConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, _, out, in := w.pair()
	w.run(time.Second)
	x := w.thief(server, out)
	forged := wire.Header{Type: wire.Ack}
	forged.Acks.Words, forged.Acks.Largest, forged.Acks.Bitmap[0] = 1, 1000, 1<<63
	x.send(forged, nil)
	w.run(time.Second)
	require.Zero(t, server.Stats().PeersFailed)
	w.deliver(out, in, 1, 1, 100)
	require.Zero(t, server.Stats().PeersFailed+server.Stats().PeersMoved)
}

func TestAnAcknowledgementFromElsewhereIsLookedAtUnlessItIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, _, out, in := w.pair()
	w.run(time.Second)
	w.deliver(in, out, 1, 3, 100)
	w.run(100 * time.Millisecond)
	require.Zero(t, in.conn.Inside().InFlight)
	x := w.thief(server, out)
	largest := uint32(in.conn.Inside().Next) - 1
	for _, from := range []struct {
		largest uint32
		words   uint8
		looked  bool
	}{{largest, 0, false}, {largest - 1, 1, false}, {largest, 1, true}} {
		said := wire.Header{Type: wire.Ack}
		said.Acks.Words, said.Acks.Largest, said.Acks.Bitmap[0] = from.words, from.largest, 1<<63
		x.send(said, nil)
		w.run(time.Millisecond)
		require.Equal(t, from.looked, in.conn.Inside().Challenged, "%d of %d, in %d words", from.largest, largest, from.words)
		require.Equal(t, from.looked, x.challenged > 0)
	}
	w.run(time.Second)
	require.Zero(t, server.Stats().PeersMoved, "the client is where it was")
	w.deliver(out, in, 1, 1, 100)
}

func TestAClientWhoseChallengesAreLostIsNotGivenUpForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	w.run(time.Second)
	x := w.thief(server, out)
	lost := 0
	w.fate = func(p *sim.Packet) (v sim.Verdict) {
		if p.To == client.addr && typeOf(p.Data) == wire.PathChallenge && lost == 0 {
			lost++
			v.Drop = true
		}
		return v
	}
	x.send(wire.Header{Type: wire.Data, Number: uint32(in.conn.Inside().Expected) + 100}, nil)
	w.run(time.Second)
	require.Equal(t, 1, lost)
	require.Equal(t, client.addr, in.conn.Addr())
	w.deliver(out, in, 1, 1, 100)
}
