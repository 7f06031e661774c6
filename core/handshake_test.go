package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestCallsMayBeSubmittedBeforeTheConnectionStands(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{Slots: 2}), n.add(Config{})
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var calls [5]Call
	done := 0
	for i := range calls {
		calls[i] = Call{Method: echo, Request: []byte{byte(i)}, Buf: make([]byte, 1), Done: func(*Call) { done++ }}
		s.Submit(&calls[i])
	}
	n.until(func() bool { return done == len(calls) })
	for i := range calls {
		require.NoError(t, calls[i].Err)
		require.Equal(t, []byte{byte(i)}, calls[i].Response)
	}
}

func TestTheNarrowerLimitsAreAgreedOn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{Slots: 3, MaxDatagram: 1300, KeepAlive: time.Second, Credits: 7})
	client := n.add(Config{Slots: 5, MaxDatagram: 1400, KeepAlive: 2 * time.Second, Credits: 9})
	n.connect(client, server)
	for _, p := range []*packet.Conn{client.toward(server), server.onlyClient()} {
		require.Equal(t, 3, muxOf(p).slots)
		require.Equal(t, 1300, p.Inside().MaxMTU)
		require.Equal(t, time.Second/4, p.Inside().PingEvery)
	}
	require.Equal(t, 7, client.toward(server).Inside().Credits)
	require.Equal(t, 9, server.onlyClient().Inside().Credits)
}

func TestAServerThatIsFullRefuses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{Peers: 1})
	first := n.connect(n.add(Config{}), server)
	second, err := n.add(Config{}).Connect(server.addr)
	require.NoError(t, err)
	refused := n.fails(second, &Call{Method: echo})
	require.Equal(t, ResourceExhausted, refused.Code)
	require.False(t, refused.MayHaveExecuted)
	require.ErrorContains(t, refused, "peers")

	first.Close()
	n.run(2 * packet.MaxBackoff)
	n.echoes(second, 10)
}

func TestAnUnansweredHandshakeFailsAllThatWait(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 300 * time.Millisecond})
	n.partition()
	began := n.Now()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var notReady error
	s.Ready(func(err error) { notReady = err })
	var calls [3]Call
	var done [3]*int
	for i := range calls {
		calls[i] = Call{Method: echo}
		done[i] = n.submit(s, &calls[i])
	}
	n.until(func() bool { return *done[0]+*done[1]+*done[2] == 3 })
	require.LessOrEqual(t, n.Now()-began, 300*time.Millisecond)
	require.ErrorIs(t, notReady, &Error{Code: Unavailable})
	for i := range calls {
		require.Equal(t, Unavailable, failure(t, &calls[i]).Code)
		require.False(t, failure(t, &calls[i]).MayHaveExecuted)
	}

	n.run(time.Second)
	sent := n.sent
	n.run(time.Second)
	require.Equal(t, sent, n.sent, "nobody waits, so nobody knocks")
	n.heal()
	n.echoes(s, 10)
}

func TestAServerRestartedAmidAHandshakeIsReached(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	n.drop = func(_, _ netip.AddrPort, data []byte) bool { return typeOf(data) == wire.Accept }
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	n.run(5 * time.Millisecond)
	server.restart(Config{}) // with another secret: it does not know the cookie
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	n.heal()
	began := n.Now()
	n.echoes(s, 10)
	require.LessOrEqual(t, n.Now()-began, 100*time.Millisecond)
}

func TestAClientWithACookieGrownOldGetsAnother(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: time.Minute})
	n.drop = func(_, _ netip.AddrPort, data []byte) bool {
		return typeOf(data) != wire.Retry && n.Now() > time.Second+60*time.Microsecond
	}
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	n.run(15 * time.Second)
	require.NotEqual(t, [wire.CookieSize]byte{}, client.toward(server).Inside().Cookie)
	n.heal()
	n.echoes(s, 10)
}

func TestAForgedOrBorrowedCookieIsWorthNothing(t *testing.T) {
	t.Parallel()
	w := newWire(t, Config{})
	hello := wire.HelloBody{Connection: 1, Token: 3, Params: w.params()}
	w.e.Advance(time.Minute)
	cookie := w.e.packets.Cookie(w.from, hello.Connection, hello.Token)

	hello.Cookie = cookie
	hello.Cookie[20] ^= 1
	w.take(helloDatagram(&hello))
	require.Empty(t, w.accepted(), "forged")

	hello.Cookie = cookie
	hello.Token = 5
	w.take(helloDatagram(&hello))
	require.Empty(t, w.accepted(), "made for another connection")
	hello.Token = 3

	w.from = netip.MustParseAddrPort("192.0.2.9:9")
	w.take(helloDatagram(&hello))
	require.Empty(t, w.accepted(), "made for another address")
	w.from = clientAddr

	w.e.Advance(w.e.packets.Now() + 10*time.Second + 1)
	w.take(helloDatagram(&hello))
	require.Empty(t, w.accepted(), "old")
	require.EqualValues(t, 4, w.e.Stats().RxBadCookie)

	hello.Cookie = w.e.packets.Cookie(w.from, hello.Connection, hello.Token)
	w.take(helloDatagram(&hello))
	require.Len(t, w.accepted(), 1, "genuine")
}

func TestAClientOfAnotherVersionIsToldSo(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		// What either sends says version 2.
		data[1] = 2<<4 | data[1]&0xF
		wire.Seal(data, nil)
		return false
	}
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	began := n.Now()
	refused := n.fails(s, &Call{Method: echo})
	require.Equal(t, FailedPrecondition, refused.Code)
	require.False(t, refused.MayHaveExecuted)
	require.ErrorContains(t, refused, "version")
	require.LessOrEqual(t, n.Now()-began, 3*n.delay)
	require.EqualValues(t, 1, server.Stats().RxVersion)
}

// bare is a transport that hands one datagram at a time to an endpoint, and
// swallows what it answers. It allocates nothing.
type bare struct {
	rx    []transport.RxPacket
	heads [64][9000]byte
	sent  uint64
	last  int // length of the last answer
	// source is what the last Resolve was told to send from.
	source netip.Addr
	routes int // resolved and not forgotten
}

var _ transport.Transport = (*bare)(nil)

func (b *bare) Resolve(_ netip.AddrPort, source netip.Addr) (transport.Route, error) {
	b.source = source
	b.routes++
	return 0, nil
}

func (b *bare) Forget(transport.Route) { b.routes-- }
func (b *bare) Reserve(pkts []transport.TxPacket) int {
	for i := range pkts {
		pkts[i].Head = b.heads[i][:]
	}
	return len(pkts)
}

func (b *bare) Send(pkts []transport.TxPacket) (int, error) {
	for i := range pkts {
		b.last = len(pkts[i].Head)
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

var clientAddr = netip.MustParseAddrPort("192.0.2.1:1")

// bareWire is an endpoint whose datagrams a test writes by hand.
type bareWire struct {
	e    *Endpoint
	tr   *bare
	from netip.AddrPort
	to   netip.Addr
	one  [1]transport.RxPacket
}

func newWire(t *testing.T, cfg Config) *bareWire {
	w := &bareWire{tr: &bare{}, from: clientAddr}
	var err error
	w.e, err = New(cfg, w.tr, time.Second)
	require.NoError(t, err)
	return w
}

func (w *bareWire) take(data []byte) {
	w.one[0] = transport.RxPacket{Data: data, From: w.from, To: w.to}
	w.tr.rx = w.one[:]
	w.e.Poll(w.e.packets.Now())
}

// params is what a client says of itself.
func (w *bareWire) params() wire.Params {
	return wire.Params{
		MaxDatagram: 8972, Credits: 256, Slots: 256, Sessions: 1<<16 - 1, AckDelay: 500, MaxMessage: 16 << 20, KeepAlive: 3000,
	}
}

// accepted returns the connections that the endpoint has accepted.
func (w *bareWire) accepted() []*packet.Conn { return (&node{Endpoint: w.e}).accepted() }

func helloDatagram(hello *wire.HelloBody) []byte {
	data := make([]byte, wire.MinHello)
	n := (&wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}).Put(data)
	hello.Put(data[n:])
	wire.Seal(data, nil)
	return data
}

func TestAFloodOfSpoofedHandshakesOrGarbageAllocatesNothing(t *testing.T) {
	w := newWire(t, Config{Peers: 1})
	hello := wire.HelloBody{Connection: 1, Token: 3, Params: w.params()}
	plain := helloDatagram(&hello)

	hello.Cookie[0] = 1
	forged := helloDatagram(&hello)

	foreign := helloDatagram(&hello)
	foreign[1] = 9<<4 | byte(wire.Hello)
	wire.Seal(foreign, nil)

	damaged := helloDatagram(&hello)
	damaged[100] ^= 1

	unknown := make([]byte, 200)
	(&wire.Header{Type: wire.Data, Connection: 77, Token: 78}).Put(unknown)

	reset := make([]byte, 200)
	n := (&wire.Header{Type: wire.Reset, Flags: wire.FlagChecksum}).Put(reset)
	(&wire.ResetBody{Connection: 5, Token: 5}).Put(reset[n:])
	wire.Seal(reset, nil)

	hello = wire.HelloBody{Connection: 8, Token: 8, Params: w.params()}
	hello.Cookie = w.e.packets.Cookie(w.from, hello.Connection, hello.Token)
	w.take(helloDatagram(&hello))
	require.Len(t, w.accepted(), 1)
	hello.Connection = 9
	hello.Cookie = w.e.packets.Cookie(w.from, hello.Connection, hello.Token)
	refused := helloDatagram(&hello)

	for _, flood := range []struct {
		name    string
		data    []byte
		counter func(Stats) uint64
		answers bool
	}{
		{"hello without a cookie", plain, func(s Stats) uint64 { return s.RxControl }, true},
		{"hello with a forged cookie", forged, func(s Stats) uint64 { return s.RxBadCookie }, true},
		{"hello of another version", foreign, func(s Stats) uint64 { return s.RxVersion }, true},
		{"hello to a full server", refused, func(s Stats) uint64 { return s.HellosRefused }, true},
		{"damaged hello", damaged, func(s Stats) uint64 { return s.RxChecksum }, false},
		{"data of no connection", unknown, func(s Stats) uint64 { return s.RxUnknown }, true},
		{"reset of no connection", reset, func(s Stats) uint64 { return s.RxUnknown }, false},
		{"short hello", plain[:100], func(s Stats) uint64 { return s.RxChecksum }, false},
		{"nothing", nil, func(s Stats) uint64 { return s.RxMalformed }, false},
		{"garbage", pattern(1000, 1), func(s Stats) uint64 { return s.RxMalformed }, false},
	} {
		before, sent := flood.counter(w.e.Stats()), w.tr.sent
		i := 0
		allocs := testing.AllocsPerRun(1000, func() {
			i++
			w.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), uint16(i))
			if flood.name == "hello to a full server" {
				w.from = clientAddr
			}
			w.take(flood.data)
		})
		require.Zero(t, allocs, flood.name)
		require.EqualValues(t, 1001, flood.counter(w.e.Stats())-before, flood.name)
		if flood.answers {
			require.EqualValues(t, 1001, w.tr.sent-sent, flood.name)
			require.Less(t, w.tr.last, len(flood.data), "%s: the answer is longer than the question", flood.name)
		} else {
			require.Equal(t, sent, w.tr.sent, flood.name)
		}
		require.Len(t, w.accepted(), 1, flood.name)
		held, err := w.e.packets.Held()
		require.NoError(t, err)
		require.Zero(t, held.Strays, flood.name)
	}
}

func TestAnswersLeaveFromTheAddressAsked(t *testing.T) {
	t.Parallel()
	w := newWire(t, Config{})
	hello := wire.HelloBody{Connection: 1, Token: 3, Params: w.params()}
	w.to = netip.MustParseAddr("192.0.2.100")
	w.take(helloDatagram(&hello))
	require.Equal(t, w.to, w.tr.source, "Retry")

	w.to = netip.MustParseAddr("192.0.2.101")
	hello.Cookie = w.e.packets.Cookie(w.from, hello.Connection, hello.Token)
	w.take(helloDatagram(&hello))
	require.Len(t, w.accepted(), 1)
	require.Equal(t, w.to, w.tr.source, "the connection")

	w.to = netip.MustParseAddr("192.0.2.102")
	unknown := make([]byte, 200)
	(&wire.Header{Type: wire.Data, Connection: 77, Token: 78}).Put(unknown)
	w.take(unknown)
	require.Equal(t, w.to, w.tr.source, "Reset")
}

func TestAServerThatTakesNoCookieDoesNotKeepItsClientBusy(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 30 * time.Second})
	hellos := 0
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		if from == client.addr {
			hellos++
			data[wire.HeaderSize+wire.ChecksumSize+wire.HelloSize-1] ^= 1 // of the cookie
			wire.Seal(data, nil)
		}
		return false
	}
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var failed error
	s.Ready(func(err error) { failed = err })
	n.until(func() bool { return failed != nil })
	require.ErrorIs(t, failed, &Error{Code: Unavailable})
	require.Less(t, hellos, 60)
}

func TestAPingOfAnUnreachableServerFails(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	client := n.add(Config{ConnectTimeout: time.Second})
	s, err := client.Connect(netip.MustParseAddrPort("10.9.9.9:1"))
	require.NoError(t, err)
	var failed error
	s.Ping(func(_ time.Duration, err error) { failed = err })
	n.until(func() bool { return failed != nil })
	require.ErrorIs(t, failed, &Error{Code: Unavailable})
	require.Zero(t, client.controlling)
}

func TestASparseSessionIndexIsRefused(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{Sessions: 100}), n.add(Config{})
	n.connect(client, server)
	p := muxOf(server.onlyClient())
	before := server.entries
	p.request(&wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.Request, Session: 99, Generation: 1, Sequence: 1, Method: echo}})
	p.request(&wire.Message{MessageHeader: wire.MessageHeader{Kind: wire.Request, Session: 60000, Generation: 1, Sequence: 1, Method: echo}})
	require.LessOrEqual(t, server.entries-before, 100)
	require.LessOrEqual(t, len(p.served), 100)
}
