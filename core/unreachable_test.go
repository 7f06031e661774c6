package core

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestADeadPortIsKnownWithinARoundTrip(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.unreachable = true
	server, client := n.echoServer(Config{}), n.add(Config{})
	server.host.Kill()
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	var notReady error
	s.Ready(func(err error) { notReady = err })
	began := n.Now()
	patient := Call{Method: echo, WaitForReady: true}
	done := n.submit(s, &patient)
	refused := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, refused.Code)
	require.ErrorIs(t, refused, syscall.ECONNREFUSED)
	require.False(t, refused.MayHaveExecuted)
	require.ErrorIs(t, notReady, syscall.ECONNREFUSED)
	require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)

	n.run(time.Second)
	require.Zero(t, *done)
	server.start(Config{}, server.host.Open(1))
	server.Handle(echo, func(r *Request) { r.Reply(nil) })
	n.run(packet.MaxBackoff * 3 / 2)
	require.Equal(t, 1, *done)
	require.NoError(t, patient.Err)
}

func TestAConnectionIsGivenUpWhenItsHostProvesThatNobodyListens(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.unreachable = true
	server, _ := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.run(10 * time.Millisecond)
	running := Call{Method: never}
	hung := n.submit(s, &running)
	n.run(10 * time.Millisecond)
	server.host.Kill()
	began := n.Now()
	err := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, err.Code)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.True(t, err.MayHaveExecuted)
	require.Equal(t, 1, *hung, "it was lost with the rest")
	require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
	began = n.Now()
	err = n.fails(s, &Call{Method: echo})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.False(t, err.MayHaveExecuted)
	require.LessOrEqual(t, n.Now()-began, 2*n.delay+time.Microsecond)
}

func TestAServerKeepsAClientThatANATHasForgotten(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.unreachable = true
	server, deferred := n.slowServer(Config{KeepAlive: time.Second})
	client, x, s := n.behindNAT(server, Config{KeepAlive: time.Second})
	c := Call{Method: later, Buf: make([]byte, 10)}
	done := n.submit(s, &c)
	n.run(time.Millisecond)
	x.rebind(n, n.Hosts()[1], 3000)
	(*deferred)[0].Reply([]byte("after all"))
	n.run(10 * time.Millisecond)
	require.NotZero(t, server.Stats().RxUnreachable)
	n.until(func() bool { return *done == 1 })
	require.NoError(t, c.Err)
	require.Zero(t, server.Stats().PeersFailed+client.Stats().PeersFailed)
}

// hearsay is a port at which a test puts in what it hears of others.
type hearsay struct {
	transport.Transport
	reports []transport.Unreachable
}

func (h *hearsay) NextUnreachable() (u transport.Unreachable, ok bool) {
	if len(h.reports) == 0 {
		return u, false
	}
	u, h.reports = h.reports[0], h.reports[1:]
	return u, true
}

// hearsay puts what tests tell in the place of the ports that are added next.
func (n *network) hearsay() *hearsay {
	h := &hearsay{}
	n.over = func(p *sim.Port) transport.Transport {
		h.Transport = p
		return h
	}
	return h
}

func TestAForgedReportIsNotBelieved(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.echoServer(Config{})
	rumours := n.hearsay()
	client := n.add(Config{})
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	p := client.toward(server)
	quote := func(h wire.Header) []byte {
		data := make([]byte, 200)
		n := h.Put(data)
		(&wire.HelloBody{Connection: p.Inside().Index, Token: p.Inside().Token ^ 2}).Put(data[n:])
		return data
	}
	tell := func(err error, to netip.AddrPort, data []byte) {
		rumours.reports = append(rumours.reports, transport.Unreachable{To: to, Err: err, Data: data})
		client.port.Wake()
		n.react()
	}
	// Amid a handshake: of another attempt, or about another peer.
	tell(syscall.ECONNREFUSED, server.addr, quote(wire.Header{Type: wire.Hello, Flags: wire.FlagChecksum}))
	tell(syscall.ECONNREFUSED, server.addr, quote(wire.Header{Type: wire.Data}))
	tell(syscall.ECONNREFUSED, netip.MustParseAddrPort("10.0.0.1:2"), nil)
	require.Equal(t, Connecting, s.State())
	n.echoes(s, 10)

	// Of a connection: without its secret, or without the word that nobody listens.
	known := wire.Header{Type: wire.Data, Connection: p.Inside().RemoteIndex, Token: p.Inside().RemoteToken}
	guessed := known
	guessed.Token ^= 1
	tell(syscall.ECONNREFUSED, server.addr, nil)
	tell(syscall.ECONNREFUSED, server.addr, quote(known)[:11])
	tell(syscall.ECONNREFUSED, server.addr, quote(guessed))
	tell(syscall.EHOSTUNREACH, server.addr, quote(known))
	require.Equal(t, Ready, s.State())
	n.echoes(s, 10)
	tell(syscall.ECONNREFUSED, server.addr, quote(known)[:12])
	require.Equal(t, Idle, s.State())
	require.EqualValues(t, 8, client.Stats().RxUnreachable)
}

func TestWordOfANetworkThatIsNotThereEndsAnAttempt(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EACCES, syscall.ECONNREFUSED} {
		n := newNetwork(t, 1)
		n.partition()
		server := n.add(Config{})
		rumours := n.hearsay()
		client := n.add(Config{})
		s, err := client.Connect(server.addr)
		require.NoError(t, err)
		c := Call{Method: echo}
		done := n.submit(s, &c)
		n.run(time.Millisecond)
		rumours.reports = append(rumours.reports, transport.Unreachable{To: server.addr, Err: cause})
		n.react()
		require.Equal(t, 1, *done)
		require.ErrorIs(t, c.Err, cause)
		require.ErrorContains(t, c.Err, cause.Error())
		require.Equal(t, TransientFailure, s.State())
	}
}

// FuzzUnreachable has reports quote anything, amid a handshake and of a
// connection, which they end only with what proves them.
func FuzzUnreachable(f *testing.F) {
	f.Add([]byte{}, true, false)
	f.Add([]byte{0xF7, 0x10}, false, false)
	f.Add([]byte{0xF7, 0x12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 1, 0, 0, 0}, true, true)
	f.Fuzz(func(t *testing.T, data []byte, refused, proves bool) {
		n := newNetwork(t, 1)
		server, client := n.echoServer(Config{}), n.add(Config{})
		s, err := client.Connect(server.addr)
		require.NoError(t, err)
		p := client.toward(server)
		u := transport.Unreachable{To: server.addr, Err: syscall.EHOSTUNREACH, Data: data}
		if refused {
			u.Err = syscall.ECONNREFUSED
		}
		client.InjectUnreachable(&u)
		client.InjectUnreachable(&transport.Unreachable{To: clientAddr, Err: u.Err, Data: data})
		if s.State() == TransientFailure {
			n.run(packet.MaxBackoff)
			s.Ready(func(error) {})
		}
		n.run(100 * time.Millisecond)
		require.Equal(t, Ready, s.State())

		quote := data
		if proves {
			quote = make([]byte, wire.HeaderSize)
			(&wire.Header{Type: wire.Data, Connection: p.Inside().RemoteIndex, Token: p.Inside().RemoteToken}).Put(quote)
			quote = append(quote, data...)
		}
		u.Data = quote
		client.InjectUnreachable(&u)
		server.InjectUnreachable(&transport.Unreachable{To: client.addr, Err: u.Err, Data: data})
		require.Equal(t, !(proves && refused), s.State() == Ready)
	})
}
