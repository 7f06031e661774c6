package core

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Methods of the servers in these tests, besides echo.
const (
	never = 2 + iota // deferred, and not answered
	later            // deferred; the test answers
)

// slowServer adds a node that echoes, and that defers never and later.
func (n *network) slowServer(cfg Config) (server *node, deferred *[]*Request) {
	deferred = new([]*Request)
	server = n.echoServer(cfg)
	hold := func(r *Request) {
		r.Defer()
		*deferred = append(*deferred, r)
	}
	server.Handle(never, hold)
	server.Handle(later, hold)
	return server, deferred
}

func TestNoRequestExecutesTwiceWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range seeds(20) {
		n := newNetwork(t, seed)
		server, client := n.add(Config{Slots: 8}), n.add(Config{})
		executed := map[uint64]int{}
		server.Handle(echo, func(r *Request) {
			executed[binary.LittleEndian.Uint64(r.Data)]++
			r.Reply(r.Data)
		})
		s := n.connect(client, server)
		n.faults(sim.Faults{Loss: 0.1, Duplicate: 0.2, Jitter: 100 * time.Microsecond})
		calls := make([]Call, 1000)
		done := make([]*int, len(calls))
		for i := range calls {
			calls[i] = Call{Method: echo, Request: make([]byte, 8+n.Rand().IntN(3000)), Buf: make([]byte, 0, 3008), Timeout: time.Duration(n.Rand().IntN(20)) * time.Millisecond}
			binary.LittleEndian.PutUint64(calls[i].Request, uint64(i))
			done[i] = n.submit(s, &calls[i])
			n.run(time.Duration(n.Rand().IntN(50)) * time.Microsecond)
			if victim := n.Rand().IntN(i + 1); n.Rand().IntN(5) == 0 && *done[victim] == 0 {
				s.Cancel(&calls[victim])
				require.Equal(t, 1, *done[victim])
			}
		}
		n.run(5 * time.Second)
		succeeded := 0
		for i := range calls {
			require.Equal(t, 1, *done[i])
			times := executed[uint64(i)]
			require.LessOrEqual(t, times, 1)
			if calls[i].Err == nil {
				succeeded++
				require.Equal(t, 1, times)
				require.True(t, string(calls[i].Request) == string(calls[i].Response))
			} else if !failure(t, &calls[i]).MayHaveExecuted {
				require.Zero(t, times, "said not to have executed")
			}
		}
		require.Greater(t, succeeded, 100)
		n.heal()
		n.settled(server, client)
	}
}

func TestACancelThatOvertakesItsRequestPreventsIt(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	n.late = func(_, _ netip.AddrPort, data []byte) time.Duration {
		if holds(data, wire.Request) {
			return 200 * time.Microsecond
		}
		return 0
	}
	c := Call{Method: echo, Request: []byte("late")}
	n.submit(s, &c)
	n.run(50 * time.Microsecond)
	s.Cancel(&c)
	require.True(t, failure(t, &c).MayHaveExecuted, "it was sent")
	n.run(10 * time.Millisecond)
	require.Zero(t, server.Stats().RequestsHandled)
	require.EqualValues(t, 1, server.Stats().RequestsDuplicate)
	n.late = nil
	n.echoes(s, 10)
	n.settled(server, client)
}

// The memory of a cancel that one server has got is that of another's next, which the end of the first connection leaves alone.
func TestACancelOutlivesTheConnectionToAnotherServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	leaving, _ := n.slowServer(Config{})
	staying, deferred := n.slowServer(Config{})
	client := n.add(Config{})
	first, second := Call{Method: later}, Call{Method: later}
	toLeaving, toStaying := n.connect(client, leaving), n.connect(client, staying)
	n.submit(toLeaving, &first)
	n.submit(toStaying, &second)
	n.run(10 * time.Millisecond)
	toLeaving.Cancel(&first)
	n.run(10 * time.Millisecond)
	require.Zero(t, client.controlling, "it is acknowledged")

	canceled := 0
	(*deferred)[0].Canceled = CancelFunc(func() { canceled++ })
	lost := 0
	n.drop = func(_, to netip.AddrPort, data []byte) bool {
		if to == staying.addr && holds(data, wire.Cancel) && lost == 0 {
			lost++
			return true
		}
		return false
	}
	toStaying.Cancel(&second)
	n.run(0)
	require.Equal(t, 1, lost)
	require.NoError(t, leaving.Close())
	n.run(time.Second)
	require.Zero(t, client.toward(leaving).State(), "the client knows")
	require.Equal(t, 1, canceled)
}

func TestAPacketOfAnEarlierSessionIsRejected(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, first := pair(n, Config{})
	second := n.connect(client, server)
	var old []byte
	n.drop = func(_, _ netip.AddrPort, data []byte) bool {
		if holds(data, wire.Request) && old == nil {
			old = append(old, data...)
		}
		return false
	}
	n.echoes(second, 10)
	second.Close()
	n.run(time.Millisecond)
	third := n.connect(client, server)
	require.Equal(t, second.index, third.index)
	n.echoes(third, 10)

	// The same packet comes again under a new number, as if sent anew.
	binary.LittleEndian.PutUint32(old[12:], n.secretOf(server, client).next+20)
	before := server.Stats()
	server.port.Deliver(client.addr, old, transport.NotECT)
	n.run(time.Millisecond)
	require.Equal(t, before.RequestsHandled, server.Stats().RequestsHandled)
	require.Equal(t, before.RxStale+1, server.Stats().RxStale)
	n.echoes(first, 10)
}

func TestARestartedClientIsANewOne(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.submit(s, &Call{Method: later, Request: []byte("x")})
	n.run(time.Millisecond)
	canceled := 0
	(*deferred)[0].Canceled = CancelFunc(func() { canceled++ })
	client.restart(Config{})
	s = n.connect(client, server)
	n.echoes(s, 10)
	require.Equal(t, 2, server.Stats().Peers, "the old one may still be there")
	(*deferred)[0].Reply([]byte("too late"))
	n.run(10 * time.Millisecond)
	require.Equal(t, 1, server.Stats().Peers, "the reply was answered with a reset")
	require.Zero(t, canceled, "it had been answered")
	n.echoes(s, 10)
	n.settled(server, client)
}

func TestACloseIsTold(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{})
	client := n.add(Config{})
	s := n.connect(client, server)
	c := Call{Method: never, Request: []byte("x")}
	done := n.submit(s, &c)
	n.run(time.Millisecond)
	require.NoError(t, server.Close())
	n.run(n.delay)
	require.Equal(t, 1, *done, "told at once")
	require.Equal(t, Unavailable, failure(t, &c).Code)
	require.True(t, failure(t, &c).MayHaveExecuted)

	server.restart(Config{})
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	n.echoes(s, 10)
	require.NoError(t, client.Close())
	n.run(n.delay)
	require.Zero(t, server.Stats().Peers)
	require.Zero(t, server.Stats().Sessions)
}

func TestManyFailedConnectionsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _ := n.slowServer(Config{KeepAlive: 100 * time.Millisecond, Slots: 4})
	client := n.add(Config{KeepAlive: 100 * time.Millisecond, ConnectTimeout: 50 * time.Millisecond})
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	for range 50 {
		var calls [8]Call
		var done [8]*int
		for i := range calls {
			calls[i] = Call{Method: never, Request: pattern(200*(i+1), 1)}
			done[i] = n.submit(s, &calls[i])
		}
		n.run(2 * time.Millisecond)
		n.partition()
		s.Cancel(&calls[3]) // a control message is on its way
		s.Ping(func(time.Duration, error) {})
		n.run(time.Second)
		for i := range calls {
			require.Equal(t, 1, *done[i])
		}
		require.Zero(t, client.controlling)
		require.Zero(t, server.controlling)
		require.Zero(t, server.Stats().Sessions)
		require.Empty(t, server.accepted())
		n.heal()
	}
	n.echoes(s, 10)
}

func TestTheCauseOfAFailureIsNamed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	err := n.fails(s, &Call{Method: 99})
	require.Equal(t, Unimplemented, err.Code)
	server.Handle(7, func(r *Request) { r.Fail(PermissionDenied, "not you") })
	err = n.fails(s, &Call{Method: 7})
	require.Equal(t, PermissionDenied, err.Code)
	require.Equal(t, "not you", err.Message)
	server.Handle(8, func(*Request) {})
	err = n.fails(s, &Call{Method: 8})
	require.Equal(t, Internal, err.Code)
	server.Handle(9, func(r *Request) { r.Fail(DataLoss, fmt.Sprintf("%05000d", 1)) })
	err = n.fails(s, &Call{Method: 9})
	require.Equal(t, DataLoss, err.Code)
	require.Len(t, err.Message, 5000)
	n.settled(server, client)
}
