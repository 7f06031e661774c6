package core

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

func TestADrainingServerFinishesWhatItAccepted(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{})
	client, newcomer := n.add(Config{}), n.add(Config{})
	s := n.connect(client, server)
	accepted := Call{Method: later, Request: pattern(3000, 1), Buf: make([]byte, 3000)}
	done := n.submit(s, &accepted)
	n.run(time.Millisecond)
	require.False(t, server.Drained())

	server.Drain()
	err := n.fails(s, &Call{Method: echo})
	require.Equal(t, Unavailable, err.Code)
	require.ErrorContains(t, err, "shutting down")
	other, connectErr := newcomer.Connect(server.addr)
	require.NoError(t, connectErr)
	err = n.fails(other, &Call{Method: echo})
	require.Equal(t, Unavailable, err.Code)
	require.False(t, err.MayHaveExecuted)
	_, connectErr = server.Connect(client.addr)
	require.ErrorIs(t, connectErr, &Error{Code: Unavailable})
	require.False(t, server.Drained())

	r := (*deferred)[0]
	r.Reply(r.Data)
	n.until(func() bool { return *done == 1 })
	require.NoError(t, accepted.Err)
	require.Equal(t, accepted.Request, accepted.Response)
	n.run(time.Millisecond)
	require.True(t, server.Drained())
	require.NoError(t, server.Close())
}

func TestCloseCompletesEveryCall(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{Slots: 2})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.run(10 * time.Millisecond)
	client.port.Withhold(1 << 40) // so that one is parked
	parked := Call{Method: echo, Request: pattern(3000, 1)}
	calls := []*Call{&parked}
	done := []*int{n.submit(s, &parked)}
	n.run(time.Millisecond)
	require.Zero(t, *done[0])
	for range 5 { // two in slots, three that wait
		c := &Call{Method: never, Request: pattern(2000, 1)}
		calls = append(calls, c)
		done = append(done, n.submit(s, c))
	}
	n.run(time.Millisecond)
	late := &Call{Method: echo} // submitted since the last Poll
	calls = append(calls, late)
	done = append(done, n.submit(s, late))

	require.NoError(t, client.Close())
	for i, c := range calls {
		require.Equal(t, 1, *done[i], "call %d", i)
		if i > 0 {
			require.Equal(t, Canceled, failure(t, c).Code)
			require.Equal(t, i <= 2, failure(t, c).MayHaveExecuted, "call %d", i)
		}
	}
	require.NoError(t, parked.Err, "its response was here")
	require.NoError(t, client.Close(), "closing twice is no error")
	require.True(t, client.Drained())
	_, err := client.Connect(server.addr)
	require.ErrorIs(t, err, &Error{Code: Unavailable})

	after := Call{Method: echo}
	count := n.submit(s, &after)
	client.Poll(n.Now())
	require.Equal(t, 1, *count, "a call submitted after Close completes with the next Poll")
	require.Equal(t, Canceled, failure(t, &after).Code)
}

func TestACompletionMaySubmitWhileTheEndpointCloses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{Slots: 2})
	client := n.add(Config{})
	s := n.connect(client, server)
	calls := make([]Call, 4)
	completions := 0
	for i := range calls {
		tries := 0
		calls[i] = Call{Method: never, Done: func(c *Call) {
			completions++
			if tries++; tries < 3 {
				s.Submit(c)
			}
		}}
		s.Submit(&calls[i])
	}
	n.run(time.Millisecond)
	require.NoError(t, client.Close())
	for range 3 {
		client.Poll(n.Now())
	}
	require.Equal(t, 3*len(calls), completions)
	require.True(t, client.Drained())
}

func TestAClosedSessionTellsTheServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{})
	client := n.add(Config{})
	first, second := n.connect(client, server), n.connect(client, server)
	c := Call{Method: later, Request: []byte("x")}
	done := n.submit(first, &c)
	n.echoes(second, 10)
	canceled := 0
	(*deferred)[0].Canceled = CancelFunc(func() { canceled++ })
	first.Close()
	first.Close()
	require.Equal(t, 1, *done)
	require.Equal(t, Canceled, failure(t, &c).Code)
	require.True(t, failure(t, &c).MayHaveExecuted)
	n.run(time.Millisecond)
	require.Equal(t, 1, canceled)
	require.False(t, (*deferred)[0].Peer().IsValid())
	require.Equal(t, 1, server.Stats().Sessions)
	(*deferred)[0].Reply(nil)

	err := n.fails(first, &Call{Method: echo})
	require.Equal(t, Canceled, err.Code)
	require.False(t, err.MayHaveExecuted)
	first.Ready(func(err error) { require.ErrorIs(t, err, &Error{Code: Canceled}) })
	first.Ping(func(_ time.Duration, err error) { require.ErrorIs(t, err, &Error{Code: Canceled}) })
	n.echoes(second, 10)

	second.Close()
	n.run(time.Millisecond)
	require.Zero(t, server.Stats().Peers, "the last session ends the connection")
	require.Empty(t, client.packets.To(server.addr))
	require.Zero(t, client.controlling)
	second.Ping(func(time.Duration, error) {})
	require.Zero(t, client.controlling)
	n.settled(server, client)
}

func TestALostGoodbyeIsMadeUpForByTheKeepAlive(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{KeepAlive: time.Second})
	n.partition()
	s.Close()
	n.run(time.Millisecond)
	n.heal()
	require.Equal(t, 1, server.Stats().Peers)
	n.run(1100 * time.Millisecond)
	require.Zero(t, server.Stats().Peers)
	n.settled(server, client)
}

func TestEventsTellOfConnections(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	var kinds []EventKind
	server := n.echoServer(Config{Events: func(e Event) { kinds = append(kinds, e.Kind) }, KeepAlive: 100 * time.Millisecond})
	client := n.add(Config{KeepAlive: 100 * time.Millisecond})
	n.connect(client, server).Close()
	n.run(time.Millisecond)
	n.connect(client, server)
	n.partition()
	n.run(time.Second)
	require.Equal(t, []EventKind{PeerConnected, PeerClosed, PeerConnected, PeerLost}, kinds)
}

func TestATransportsFailureIsReported(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, client, s := pair(n, Config{})
	c := Call{Method: echo}
	done := n.submit(s, &c)
	broken := errors.New("the device is gone")
	client.port.Fail(broken)
	_, err := client.Poll(n.Now())
	require.ErrorIs(t, err, broken)
	require.NoError(t, client.Close())
	require.Equal(t, 1, *done)
	require.Error(t, c.Err)
}

// taken is a port whose receive memory is gone once it is closed.
type taken struct {
	*sim.Port
	lent [][]byte
}

func (p *taken) Recv(pkts []transport.RxPacket) (int, error) {
	n, err := p.Port.Recv(pkts)
	for i := range pkts[:n] {
		p.lent = append(p.lent, pkts[i].Data)
	}
	return n, err
}

func (p *taken) Close() error {
	for _, data := range p.lent {
		clear(data)
	}
	return p.Port.Close()
}

func TestAHandlerThatClosesTheEndpointLeavesTheRestOfTheBurstUnread(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	n.over = func(p *sim.Port) transport.Transport { return &taken{Port: p} }
	server := n.add(Config{NoCoalesce: true})
	n.over = func(p *sim.Port) transport.Transport { return p }
	handled := 0
	server.Handle(echo, func(*Request) {
		handled++
		require.NoError(t, server.Close())
	})
	client := n.add(Config{NoCoalesce: true})
	s := n.connect(client, server)
	n.run(10 * time.Millisecond)
	server.host.Pause(time.Millisecond)
	var calls [10]Call
	for i := range calls {
		calls[i] = Call{Method: echo, Request: []byte("x")}
		n.submit(s, &calls[i])
	}
	n.run(10 * time.Millisecond)
	require.Equal(t, 1, handled)
	require.Zero(t, server.Stats().RxMalformed)
	for i := range calls {
		require.Equal(t, Unavailable, failure(t, &calls[i]).Code)
	}
}

// broken is a port that ends by itself, and its transmit memory with it.
type broken struct {
	*sim.Port
	lent  [][]byte
	ended bool
}

func (p *broken) Reserve(pkts []transport.TxPacket) int {
	if p.ended {
		return 0
	}
	n := p.Port.Reserve(pkts)
	for i := range pkts[:n] {
		p.lent = append(p.lent, pkts[i].Head)
	}
	return n
}

func (p *broken) Recv(pkts []transport.RxPacket) (int, error) {
	if p.ended {
		return 0, errors.New("the device is gone")
	}
	return p.Port.Recv(pkts)
}

func TestTheMemoryOfATransportThatHasEndedIsLeftAlone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	var port *broken
	n.over = func(p *sim.Port) transport.Transport {
		port = &broken{Port: p}
		return port
	}
	client := n.add(Config{})
	n.over = func(p *sim.Port) transport.Transport { return p }
	server := n.add(Config{})
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	s := n.connect(client, server)
	c := Call{Method: echo}
	n.submit(s, &c)
	n.run(10 * time.Millisecond)
	require.Less(t, client.packets.Placed(), uint64(len(port.lent)), "some is lent still")

	port.ended = true
	for _, head := range port.lent {
		clear(head)
	}
	_, err := client.Poll(n.Now())
	require.Error(t, err)
	require.NoError(t, client.Close(), "which has a goodbye to say")
	for _, head := range port.lent {
		require.Equal(t, len(head), bytes.Count(head, []byte{0}))
	}
}

func TestTheTextOfACloseIsLoggedAsTextOnly(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	var told []Event
	server := n.add(Config{Events: func(e Event) { told = append(told, e) }})
	x := n.byHand(server)
	_, known := x.join(1)
	data := make([]byte, 100)
	size := (&wire.Header{Type: wire.Close, Flags: wire.FlagChecksum, Connection: known.index, Token: known.token}).Put(data)
	size += wire.PutReason(data[size:], uint8(Unavailable), "\x1b[2J?\u202e")
	data[bytes.IndexByte(data, '?')] = 0xff // which PutReason would not write
	wire.Seal(data[:size], nil)
	x.take(1, data[:size])
	require.Equal(t, PeerClosed, told[len(told)-1].Kind)
	require.Equal(t, `"\x1b[2J\xff\u202e"`, told[len(told)-1].Reason)
}
