package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
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
func (n *network) behindNAT(server *node, cfg Config) (*node, *nat, *Session) {
	h := n.plug()
	x := &nat{inside: h.Open(1), outside: h.Open(2000), server: server.addr}
	h.Run(x, x.inside, x.outside)
	client := n.add(cfg)
	s, err := client.Connect(x.inside.LocalAddr())
	require.NoError(n.t, err)
	n.echoes(s, 100)
	n.run(time.Second) // the MTU is known, and nothing under way
	return client, x, s
}

// rebind gives the client another port, or another host's address.
func (x *nat) rebind(n *network, host *sim.Host, port uint16) netip.AddrPort {
	x.outside.Close()
	x.outside = host.Open(port)
	host.Run(x, x.outside, x.inside)
	return x.outside.LocalAddr()
}

func TestARebindingNATCostsTwoSilencesOfTheKnownAddress(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} { // another address, or just another port
		n := newNetwork(t, 1)
		controllers := 0
		server := n.echoServer(Config{Controller: func(path cc.Path) cc.Controller {
			controllers++
			return cc.None(cc.DefaultWindow)(path)
		}})
		client, x, s := n.behindNAT(server, Config{})
		began := n.Now()
		n.echoes(s, 100)
		usual := n.Now() - began

		p := server.onlyClient()
		mtu := p.MTU()
		require.Greater(t, mtu, wire.MinHello)
		host := n.Hosts()[1]
		if other {
			host = n.plug()
		}
		at := x.rebind(n, host, 3000)
		began = n.Now()
		n.echoes(s, 100)
		require.LessOrEqual(t, n.Now()-began, 2*10*time.Millisecond+3*usual+client.packets.To(x.inside.LocalAddr()).Inside().ProbeTimeout)
		require.Same(t, p, server.onlyClient())
		require.Equal(t, at, p.Addr())
		require.EqualValues(t, 1, server.Stats().PeersMoved)
		if other {
			require.Equal(t, 2, controllers)
		} else {
			require.Equal(t, 1, controllers)
			require.Equal(t, mtu, p.MTU())
		}
		n.run(time.Second)
		require.Equal(t, mtu, p.MTU())
		n.stream(s, 16, 100, 10_000)
		require.Zero(t, server.Stats().PeersFailed)
		require.Zero(t, server.stock().Strays)
	}
}

func TestAnAddressThatChangesAmidTransfersLosesNothing(t *testing.T) {
	t.Parallel()
	for seed := range seeds(10) {
		n := newNetwork(t, seed)
		n.link.Rate = 1e9
		server := n.echoServer(Config{})
		client, x, s := n.behindNAT(server, Config{})
		n.faults(sim.Faults{Loss: 0.02})
		hosts := []*sim.Host{n.Hosts()[1], n.plug()}
		calls := make([]Call, 30)
		done := 0
		for i := range calls {
			calls[i] = Call{Method: echo, Request: pattern(100_000, byte(i)), Buf: make([]byte, 0, 100_000), Done: func(*Call) { done++ }}
			s.Submit(&calls[i])
		}
		for port := uint16(3000); port < 3010; port++ {
			n.run(time.Duration(n.Rand().IntN(3000)) * time.Microsecond)
			x.rebind(n, hosts[n.Rand().IntN(2)], port)
		}
		n.until(func() bool { return done == len(calls) })
		for i := range calls {
			require.NoError(t, calls[i].Err)
			require.True(t, string(calls[i].Request) == string(calls[i].Response))
		}
		require.NotZero(t, server.Stats().PeersMoved)
		require.Zero(t, server.Stats().PeersFailed+client.Stats().PeersFailed)
		require.EqualValues(t, 31, server.Stats().RequestsHandled)
		n.heal()
		n.settled(server, client)
	}
}

func TestAClientThatOnlyListensIsFoundByItsKeepAlive(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{KeepAlive: 400 * time.Millisecond})
	client, x, s := n.behindNAT(server, Config{KeepAlive: 400 * time.Millisecond})
	c := Call{Method: later, Buf: make([]byte, 0, 100)}
	done := n.submit(s, &c)
	n.run(time.Millisecond)
	x.rebind(n, n.plug(), 9)
	(*deferred)[0].Reply([]byte("here")) // to where nobody is any more
	n.until(func() bool { return server.Stats().PeersMoved == 1 })
	moved := n.Now()
	n.until(func() bool { return *done == 1 })
	require.NoError(t, c.Err)
	require.LessOrEqual(t, n.Now()-moved, 2*n.delay+time.Microsecond, "it is sent again at once")
	require.Zero(t, server.Stats().PeersFailed+client.Stats().PeersFailed)
}

// spoof has the client's requests come from other addresses, too, a little before
// the client's own, and returns what the server sends to others than the client.
func (n *network) spoof(client, server *node, source func() netip.AddrPort) *[][]byte {
	sent := new([][]byte)
	n.drop = func(from, to netip.AddrPort, data []byte) bool {
		if from == client.addr && holds(data, wire.Request) {
			server.port.Deliver(source(), data, transport.NotECT)
		}
		if from == server.addr && to != client.addr {
			*sent = append(*sent, append([]byte(nil), data...))
		}
		return false
	}
	return sent
}

func TestAForgedSourceAddressRedirectsNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	victim := n.add(Config{})
	sent := n.spoof(client, server, func() netip.AddrPort { return victim.addr })
	p := server.onlyClient()
	for size := 0; size < 1400; size += 300 {
		*sent = nil
		n.echoes(s, size)
		n.run(time.Second)
		require.Len(t, *sent, 1, "nothing but a challenge goes there")
		require.Equal(t, wire.PathChallenge, typeOf((*sent)[0]))
		require.LessOrEqual(t, len((*sent)[0]), min(wire.MinHello, 3*(size+wire.HeaderSize+wire.MessageHeaderSize)))
		require.Equal(t, client.addr, p.Addr())
	}
	// The victim does not know the connection. Nor does an answer from elsewhere
	// count, or a wrong one.
	require.NotZero(t, victim.Stats().RxUnknown)
	response := append([]byte(nil), (*sent)[0]...)
	(&wire.Header{Type: wire.PathResponse, Flags: wire.FlagChecksum, Connection: p.Inside().Index, Token: p.Inside().Token}).Put(response)
	answer := func(from netip.AddrPort) {
		wire.Seal(response, nil)
		server.port.Deliver(from, response, transport.NotECT)
		n.react()
	}
	answer(client.addr)
	response[wire.HeaderSize+wire.ChecksumSize] ^= 1
	answer(victim.addr)
	require.Equal(t, client.addr, p.Addr())
	require.Zero(t, server.Stats().PeersMoved)
	n.echoes(s, 3000)
}

func TestForgedSourceAddressesMakeNoStateGrow(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	i := uint16(0)
	n.spoof(client, server, func() netip.AddrPort {
		i++
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 7)
	})
	began := n.Now()
	n.stream(s, 16, 2000, 100)
	challenges := server.port.Stats().TxUnresolved
	require.NotZero(t, challenges)
	require.LessOrEqual(t, challenges, uint64((n.Now()-began)/time.Millisecond)+1, "one in a while")
	require.Len(t, server.accepted(), 1)
	require.Zero(t, server.stock().Strays)
	require.Equal(t, client.addr, server.onlyClient().Addr())
	require.Zero(t, server.Stats().PeersMoved)
}

func TestAGuessedTokenFromElsewhereIsNotFollowed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	n.spoof(client, server, func() netip.AddrPort { return clientAddr })
	known := n.drop
	n.drop = func(from, to netip.AddrPort, data []byte) bool {
		if from == client.addr {
			data[8] ^= 4
		}
		return known(from, to, data)
	}
	n.submit(s, &Call{Method: echo})
	n.react()
	require.False(t, server.onlyClient().Inside().Challenged)
	require.EqualValues(t, 1, server.Stats().RxUnknown)
}

func TestAServerThatMovesIsNotFollowed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	p := server.onlyClient()
	data := make([]byte, 64)
	size := (&wire.Header{Type: wire.Data, Connection: p.Inside().RemoteIndex, Token: p.Inside().RemoteToken, Number: uint32(p.Inside().Next)}).Put(data)
	(&wire.MessageHeader{Kind: wire.Ping}).Put(data[size:], len(data)-size-wire.MessageHeaderSize)
	client.port.Deliver(clientAddr, data, transport.NotECT)
	challenge := make([]byte, 96)
	(&wire.Header{Type: wire.PathChallenge, Flags: wire.FlagChecksum, Connection: p.Inside().RemoteIndex, Token: p.Inside().RemoteToken}).Put(challenge)
	wire.Seal(challenge, nil)
	client.port.Deliver(clientAddr, challenge, transport.NotECT)
	sent := n.sent
	n.react()
	require.Equal(t, sent, n.sent)
	require.EqualValues(t, 2, client.Stats().RxUnknown)
	n.echoes(s, 10)
}

// thief is somebody who saw one datagram of a connection's client, and has an
// address of its own. It answers whatever challenge it gets.
type thief struct {
	port       *sim.Port
	server     *node
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
func (n *network) thief(server, client *node) *thief {
	h := n.plug()
	p := client.toward(server)
	x := &thief{port: h.Open(666), server: server, header: wire.Header{Connection: p.Inside().RemoteIndex, Token: p.Inside().RemoteToken, Number: uint32(p.Inside().Next) - 1}}
	h.Run(x, x.port)
	return x
}

func TestWhoSawADatagramTakesNoLiveConnectionOver(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.run(time.Second)
	c := Call{Method: later, Buf: make([]byte, 10)}
	done := n.submit(s, &c)
	n.run(time.Second / 10)
	x, p := n.thief(server, client), server.onlyClient()
	next := p.Inside().Expected
	for range 200 { // while the client says nothing of itself
		x.send(wire.Header{Type: wire.Data, Number: uint32(next) + 100}, nil)
		n.run(time.Millisecond)
	}
	require.NotZero(t, x.challenged)
	require.Equal(t, client.addr, p.Addr())
	require.Equal(t, next, p.Inside().Expected, "what it says is not taken in")
	(*deferred)[0].Reply([]byte("secret"))
	n.until(func() bool { return *done == 1 })
	require.NoError(t, c.Err)
	require.Zero(t, server.Stats().PeersMoved)
	n.settled(server, client)
}

func TestAnAcknowledgementFromElsewhereEndsNoConnection(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	x := n.thief(server, client)
	forged := wire.Header{Type: wire.Ack}
	forged.Acks.Words, forged.Acks.Largest, forged.Acks.Bitmap[0] = 1, 1000, 1<<63
	x.send(forged, nil)
	n.run(time.Second)
	require.Zero(t, server.Stats().PeersFailed)
	n.echoes(s, 100)
	require.Zero(t, server.Stats().PeersFailed+server.Stats().PeersMoved)
}

func TestAClientWhoseChallengesAreLostIsNotGivenUpForAnother(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Second)
	x, p := n.thief(server, client), server.onlyClient()
	lost := 0
	n.drop = func(_, to netip.AddrPort, data []byte) bool {
		if to == client.addr && typeOf(data) == wire.PathChallenge && lost == 0 {
			lost++
			return true
		}
		return false
	}
	x.send(wire.Header{Type: wire.Data, Number: uint32(p.Inside().Expected) + 100}, nil)
	n.run(time.Second)
	require.Equal(t, 1, lost)
	require.Equal(t, client.addr, p.Addr())
	n.echoes(s, 100)
}
