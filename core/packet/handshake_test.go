package packet_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestTheNarrowerLimitsAreAgreedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add(func(c *packet.Config) { c.MaxDatagram, c.KeepAlive, c.Credits = 1300, time.Second, 7 })
	client := w.add(func(c *packet.Config) { c.MaxDatagram, c.KeepAlive, c.Credits = 1400, 2*time.Second, 9 })
	out, in := w.connect(client, server)
	for _, b := range []*blobs{out, in} {
		require.Equal(t, 1300, b.conn.Inside().MaxMTU)
		require.Equal(t, time.Second/4, b.conn.Inside().PingEvery)
	}
	require.Equal(t, 7, out.conn.Inside().Credits)
	require.Equal(t, 9, in.conn.Inside().Credits)
}

func TestAServerThatIsFullRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add(func(c *packet.Config) { c.Peers = 1 })
	first, _ := w.connect(w.add(), server)
	second := w.add().dial(server.addr)
	w.until(func() bool { return len(second.failures) == 1 })
	require.Contains(t, second.failures[0].Reason, "peers")
	first.conn.Close("that was all")
	w.run(2 * packet.MaxBackoff)
	require.Equal(t, 1, second.ups)
}

func TestADrainingServerTakesNoNewClientAndKeepsThoseItHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, _, out, in := w.pair()
	server.Drain()
	late := w.add().dial(server.addr)
	w.until(func() bool { return len(late.failures) == 1 })
	require.Contains(t, late.failures[0].Reason, "shutting down")
	w.deliver(out, in, 4, 10, 5000)
}

func TestAServerRestartedAmidAHandshakeIsReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(), w.add()
	w.fate = func(p *sim.Packet) sim.Verdict { return sim.Verdict{Drop: typeOf(p.Data) == wire.Accept} }
	out := client.dial(server.addr)
	w.run(5 * time.Millisecond)
	require.Len(t, server.accepted, 1)
	server.restart() // with another secret: it does not know the cookie
	w.heal()
	began := w.Now()
	w.until(func() bool { return out.ups == 1 })
	require.LessOrEqual(t, w.Now()-began, 100*time.Millisecond)
}

func TestAClientWithACookieGrownOldGetsAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add()
	client := w.add(func(c *packet.Config) { c.ConnectTimeout = time.Minute })
	retries := 0
	w.fate = func(p *sim.Packet) sim.Verdict {
		if typeOf(p.Data) == wire.Retry {
			retries++
			return sim.Verdict{}
		}
		return sim.Verdict{Drop: retries > 0}
	}
	out := client.dial(server.addr)
	w.run(15 * time.Second)
	require.Equal(t, 1, retries)
	w.heal()
	w.until(func() bool { return out.ups == 1 })
	require.EqualValues(t, 1, server.Stats().RxBadCookie)
}

func TestAServerThatTakesNoCookieDoesNotKeepItsClientBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server := w.add()
	client := w.add(func(c *packet.Config) { c.ConnectTimeout = 30 * time.Second })
	hellos := 0
	w.fate = func(p *sim.Packet) sim.Verdict {
		if p.From == client.addr {
			hellos++
			p.Data[wire.HeaderSize+wire.ChecksumSize+wire.HelloSize-1] ^= 1 // of the cookie
			wire.Seal(p.Data, nil)
		}
		return sim.Verdict{}
	}
	out := client.dial(server.addr)
	w.until(func() bool { return len(out.failures) == 1 })
	require.Contains(t, out.failures[0].Reason, "answers, but no handshake")
	require.Less(t, hellos, 60)
}

func TestEitherSideMayAskForChecksums(t *testing.T) {
	t.Parallel()
	for _, atServer := range []bool{true, false} {
		w := newWorld(t, 1)
		asks := func(asks bool) func(*packet.Config) { return func(c *packet.Config) { c.Checksum = asks } }
		out, in := w.connect(w.add(asks(!atServer)), w.add(asks(atServer)))
		w.fate = func(p *sim.Packet) sim.Verdict {
			require.NotZero(t, p.Data[2]&wire.FlagChecksum)
			require.NoError(t, wire.Verify(p.Data))
			return sim.Verdict{}
		}
		w.deliver(out, in, 1, 10, 5000)
		w.deliver(in, out, 1, 10, 5000)
	}
}

func TestAResetWithoutProofIsIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair()
	c := out.conn.Inside()
	tell := func(body wire.ResetBody) {
		data := make([]byte, 64)
		size := (&wire.Header{Type: wire.Reset, Flags: wire.FlagChecksum}).Put(data)
		body.Put(data[size:])
		wire.Seal(data, nil)
		client.port.Deliver(server.addr, data, transport.NotECT)
		w.run(time.Millisecond)
	}
	tell(wire.ResetBody{Connection: c.RemoteIndex, Token: c.RemoteToken ^ 2})
	tell(wire.ResetBody{Connection: c.RemoteIndex + 1, Token: c.RemoteToken})
	tell(wire.ResetBody{})
	require.Zero(t, client.Stats().ResetsTaken)
	w.deliver(out, in, 1, 1, 10)
	tell(wire.ResetBody{Connection: c.RemoteIndex, Token: c.RemoteToken})
	require.EqualValues(t, 1, client.Stats().ResetsTaken)
	require.Equal(t, 1, out.downs)
}

func TestKeepAlivesKeepAnIdleConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair(func(c *packet.Config) { c.KeepAlive = time.Second })
	w.run(time.Second)
	sent := w.sent
	w.run(time.Minute)
	require.Equal(t, 1, server.Stats().Peers)
	require.LessOrEqual(t, w.sent-sent, 60*2*packet.KeepAlivesPerTimeout+2)
	require.Zero(t, client.Stats().PeersFailed+server.Stats().PeersFailed)
	w.deliver(out, in, 1, 1, 10)

	w.partition()
	w.run(1100 * time.Millisecond)
	require.EqualValues(t, 1, client.Stats().PeersFailed)
	require.EqualValues(t, 1, server.Stats().PeersFailed)
	require.True(t, in.gone)
}

func TestManyClientsThatAreGoneLeaveNoMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, _, out, in := w.pair(func(c *packet.Config) { c.Peers = 1000 })
	client := w.add()
	for i := range 300 { // each from another address, so that nobody tells of the former
		client.host.Kill()
		client.start(client.host.Open(uint16(2 + i)))
		out := client.dial(server.addr)
		w.until(func() bool { return out.ups == 1 })
	}
	require.Greater(t, server.held().Conns, 300)
	client.host.Kill()
	w.run(5 * time.Second)
	server.Tidy()
	require.Equal(t, 1, server.held().Accepted)
	require.LessOrEqual(t, server.held().Conns+server.held().MostAccepted, 2)
	w.deliver(out, in, 1, 1, 10)
}

func TestEventsTellOfConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var told []packet.Event
	server := w.add(func(c *packet.Config) { c.Events = func(e packet.Event) { told = append(told, e) } })
	client := w.add()
	out, _ := w.connect(client, server)
	out.conn.Close("that was all")
	w.run(time.Second)
	second, _ := w.connect(client, server)
	second.conn.Abandon("without a word")
	client.host.Kill()
	w.run(5 * time.Second)
	at := client.addr
	require.Equal(t, []packet.Event{
		{Kind: packet.PeerConnected, Peer: at},
		{Kind: packet.PeerClosed, Peer: at, Reason: "that was all"},
		{Kind: packet.PeerConnected, Peer: at},
		{Kind: packet.PeerLost, Peer: at, Reason: "peer " + at.String() + " fell silent"},
	}, told)
}

// bare is a transport that hands one datagram at a time to an endpoint, and
// swallows what it answers. It allocates nothing.
type bare struct {
	rx    []transport.RxPacket
	heads [64][9000]byte
	sent  uint64
	last  []byte // answer
	// source is what the last Resolve was told to send from.
	source netip.Addr
}

var _ transport.Transport = (*bare)(nil)

func (b *bare) Resolve(_ netip.AddrPort, source netip.Addr) (transport.Route, error) {
	b.source = source
	return 0, nil
}

func (b *bare) Reserve(pkts []transport.TxPacket) int {
	for i := range pkts {
		pkts[i].Head = b.heads[i][:]
	}
	return len(pkts)
}

func (b *bare) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		b.last = append(b.last[:0], pkts[i].Head...)
		pkts[i] = transport.TxPacket{}
	}
	b.sent += uint64(len(pkts))
	return len(pkts), nil
}

func (b *bare) Recv(pkts []transport.RxPacket) (int, error) {
	n := copy(pkts, b.rx)
	b.rx = b.rx[n:]
	return n, nil
}

func (b *bare) Forget(transport.Route)       {}
func (b *bare) Completed() uint64            { return b.sent }
func (b *bare) Release([]transport.RxPacket) {}
func (b *bare) Wait(time.Duration) error     { return nil }
func (b *bare) Wake()                        {}
func (b *bare) LocalAddr() netip.AddrPort    { return netip.AddrPort{} }
func (b *bare) Stats() transport.Stats       { return transport.Stats{} }
func (b *bare) Close() error                 { return nil }
func (b *bare) Caps() transport.Caps {
	return transport.Caps{Backend: "bare", MaxPayload: 9000, RxBatch: 64, TxBatch: 64, Integrity: true}
}

// byHand is an endpoint whose datagrams a test writes by hand.
type byHand struct {
	*packet.Endpoint
	t    *testing.T
	tr   *bare
	from netip.AddrPort
	to   netip.Addr
	one  [1]transport.RxPacket
}

func newByHand(t *testing.T, set ...func(*packet.Config)) *byHand {
	w := newWorld(t, 1)
	x := &byHand{t: t, tr: &bare{last: make([]byte, 0, 9000)}, from: stranger}
	w.over = func(*sim.Port) transport.Transport { return x.tr }
	x.Endpoint = w.add(set...).Endpoint
	return x
}

func (x *byHand) take(data []byte) {
	x.one[0] = transport.RxPacket{Data: data, From: x.from, To: x.to}
	x.tr.rx = x.one[:]
	x.Poll(x.Now())
}

func helloOf(index, token uint32) *wire.HelloBody {
	return &wire.HelloBody{Connection: index, Token: token, Params: wire.Params{
		MaxDatagram: 8972, Credits: 256, Slots: 1, Sessions: 1, AckDelay: 500, MaxMessage: 1 << 20, KeepAlive: 3000,
	}}
}

func helloDatagram(hello *wire.HelloBody) []byte {
	data := make([]byte, wire.MinHello)
	n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(data)
	hello.Put(data[n:])
	wire.Seal(data, nil)
	return data
}

// cookied is hello with the cookie that the endpoint asks it to come again with.
func (x *byHand) cookied(hello wire.HelloBody) *wire.HelloBody {
	hello.Cookie = [wire.CookieSize]byte{}
	x.take(helloDatagram(&hello))
	var h wire.Header
	rest, err := h.Parse(x.tr.last)
	require.NoError(x.t, err)
	require.Equal(x.t, wire.Retry, h.Type)
	hello.Cookie, err = wire.ParseCookie(rest)
	require.NoError(x.t, err)
	return &hello
}

// accepted is how many connections the endpoint has accepted.
func (x *byHand) accepted() int {
	held, err := x.Held()
	require.NoError(x.t, err)
	return held.Accepted
}

func TestAForgedOrBorrowedCookieIsWorthNothing(t *testing.T) {
	t.Parallel()
	x := newByHand(t)
	x.Advance(time.Minute)
	hello := x.cookied(*helloOf(1, 3))

	forged := *hello
	forged.Cookie[20] ^= 1
	x.take(helloDatagram(&forged))
	require.Zero(t, x.accepted(), "forged")

	borrowed := *hello
	borrowed.Token = 5
	x.take(helloDatagram(&borrowed))
	require.Zero(t, x.accepted(), "made for another connection")

	x.from = netip.MustParseAddrPort("192.0.2.9:9")
	x.take(helloDatagram(hello))
	require.Zero(t, x.accepted(), "made for another address")
	x.from = stranger

	x.Advance(x.Now() + 10*time.Second + 1)
	x.take(helloDatagram(hello))
	require.Zero(t, x.accepted(), "old")
	require.EqualValues(t, 4, x.Stats().RxBadCookie)

	x.take(helloDatagram(x.cookied(*hello)))
	require.Equal(t, 1, x.accepted(), "genuine")
}

func TestAFloodOfSpoofedHandshakesOrGarbageAllocatesNothing(t *testing.T) {
	x := newByHand(t, func(c *packet.Config) { c.Peers = 1 })
	hello := helloOf(1, 3)
	plain := helloDatagram(hello)

	hello.Cookie[0] = 1
	forged := helloDatagram(hello)

	foreign := helloDatagram(hello)
	foreign[1] = 9<<4 | byte(wire.Hello)
	wire.Seal(foreign, nil)

	damaged := helloDatagram(hello)
	damaged[100] ^= 1

	unknown := make([]byte, 200)
	(&wire.Header{Type: wire.Data, Connection: 77, Token: 78}).Put(unknown)

	reset := make([]byte, 200)
	n := (&wire.Header{Type: wire.Reset, Flags: wire.FlagChecksum}).Put(reset)
	(&wire.ResetBody{Connection: 5, Token: 5}).Put(reset[n:])
	wire.Seal(reset, nil)

	x.take(helloDatagram(x.cookied(*helloOf(8, 8))))
	require.Equal(t, 1, x.accepted())
	refused := helloDatagram(x.cookied(*helloOf(9, 8)))

	for _, flood := range []struct {
		name    string
		data    []byte
		counter func(packet.Stats) uint64
		answers bool
	}{
		{"hello without a cookie", plain, func(s packet.Stats) uint64 { return s.RxControl }, true},
		{"hello with a forged cookie", forged, func(s packet.Stats) uint64 { return s.RxBadCookie }, true},
		{"hello of another version", foreign, func(s packet.Stats) uint64 { return s.RxVersion }, true},
		{"hello to a full server", refused, func(s packet.Stats) uint64 { return s.HellosRefused }, true},
		{"damaged hello", damaged, func(s packet.Stats) uint64 { return s.RxChecksum }, false},
		{"data of no connection", unknown, func(s packet.Stats) uint64 { return s.RxUnknown }, true},
		{"reset of no connection", reset, func(s packet.Stats) uint64 { return s.RxUnknown }, false},
		{"short hello", plain[:100], func(s packet.Stats) uint64 { return s.RxChecksum }, false},
		{"nothing", nil, func(s packet.Stats) uint64 { return s.RxMalformed }, false},
		{"garbage", blobOf(1, 1000), func(s packet.Stats) uint64 { return s.RxMalformed }, false},
	} {
		before, sent := flood.counter(x.Stats()), x.tr.sent
		i := 0
		allocs := testing.AllocsPerRun(1000, func() {
			i++
			x.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), uint16(i))
			if flood.name == "hello to a full server" {
				x.from = stranger
			}
			x.take(flood.data)
		})
		require.Zero(t, allocs, flood.name)
		require.EqualValues(t, 1001, flood.counter(x.Stats())-before, flood.name)
		if flood.answers {
			require.EqualValues(t, 1001, x.tr.sent-sent, flood.name)
			require.Less(t, len(x.tr.last), len(flood.data), "%s: the answer is longer than the question", flood.name)
		} else {
			require.Equal(t, sent, x.tr.sent, flood.name)
		}
		held, err := x.Held()
		require.NoError(t, err)
		require.Equal(t, 1, held.Accepted, flood.name)
		require.Zero(t, held.Strays, flood.name)
	}
}

func TestAnswersLeaveFromTheAddressAsked(t *testing.T) {
	t.Parallel()
	x := newByHand(t)
	x.to = netip.MustParseAddr("192.0.2.100")
	hello := x.cookied(*helloOf(1, 3))
	require.Equal(t, x.to, x.tr.source, "Retry")

	x.to = netip.MustParseAddr("192.0.2.101")
	x.take(helloDatagram(hello))
	require.Equal(t, 1, x.accepted())
	require.Equal(t, x.to, x.tr.source, "the connection")

	x.to = netip.MustParseAddr("192.0.2.102")
	unknown := make([]byte, 200)
	(&wire.Header{Type: wire.Data, Connection: 77, Token: 78}).Put(unknown)
	x.take(unknown)
	require.Equal(t, x.to, x.tr.source, "Reset")
}

func TestAClientOfAnotherVersionIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(), w.add()
	w.fate = func(p *sim.Packet) sim.Verdict { // what either sends says version 2
		p.Data[1] = 2<<4 | p.Data[1]&0xF
		wire.Seal(p.Data, nil)
		return sim.Verdict{}
	}
	out := client.dial(server.addr)
	began := w.Now()
	w.until(func() bool { return len(out.failures) == 1 })
	require.Contains(t, out.failures[0].Reason, "version")
	require.LessOrEqual(t, w.Now()-began, 3*oneWay)
	require.EqualValues(t, 1, server.Stats().RxVersion)
}

func TestATransportThatCarriesTooLittleIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.link.MTU = 1000
	_, err := packet.New(packet.Config{}, w.plug().Open(1), nil, w.Now())
	require.ErrorContains(t, err, "raise the device's MTU")
}
