package core

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// surviving is an actor that outlives handlers which panic or end their
// goroutine, as the loop of a program may.
type surviving struct{ *Endpoint }

func (s surviving) Poll(now time.Duration) (progress bool, err error) {
	ended := make(chan struct{})
	progress = true
	go func() {
		defer close(ended)
		defer func() { recover() }()
		progress, err = s.Endpoint.Poll(now)
	}()
	<-ended
	return progress, err
}

// survivor adds an echo server that outlives its handlers.
func (n *network) survivor(cfg Config) *node {
	d := n.echoServer(cfg)
	d.host.Kill()
	port := d.host.Open(1)
	e, err := New(Config{Seed: [32]byte{77}}, port, n.Now())
	require.NoError(n.t, err)
	e.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	d.Endpoint, d.port = e, port
	d.host.Run(surviving{e}, port)
	return d
}

var ways = map[string]func(){
	"panics":             func() { panic("a handler's mistake") },
	"ends its goroutine": runtime.Goexit,
}

func TestAHandlerThatDoesNotReturnHarmsNoOtherRequest(t *testing.T) {
	t.Parallel()
	const broken = 9
	for way, leave := range ways {
		n := newNetwork(t, 1)
		server, client := n.survivor(Config{}), n.add(Config{})
		server.Handle(broken, func(*Request) { leave() })
		s := n.connect(client, server)
		n.run(10 * time.Millisecond)
		datagrams := server.Stats().RxData
		var calls [30]Call
		var done [30]*int
		for i := range calls {
			calls[i] = Call{Method: echo, Request: []byte{byte(i)}, Buf: make([]byte, 1)}
			if i%3 == 1 {
				calls[i].Method = broken
			}
			done[i] = n.submit(s, &calls[i])
		}
		n.run(time.Millisecond)
		require.EqualValues(t, 1, server.Stats().RxData-datagrams, "all came in one datagram")
		for i := range calls {
			require.Equal(t, 1, *done[i], "%s: call %d", way, i)
			if i%3 != 1 {
				require.NoError(t, calls[i].Err)
				require.Equal(t, calls[i].Request, calls[i].Response)
				continue
			}
			require.Equal(t, Internal, failure(t, &calls[i]).Code)
			require.True(t, failure(t, &calls[i]).MayHaveExecuted)
		}
		require.Zero(t, server.Stats().RxDuplicate, "nothing had to be sent again")
		n.stream(s, 16, 2000, 5000) // would stop if receive buffers leaked
		n.settled(server, client)
	}
}

func TestAnAnswerGivenBeforeTheHandlerBreaksStands(t *testing.T) {
	t.Parallel()
	for _, leave := range ways {
		n := newNetwork(t, 1)
		server, client := n.survivor(Config{}), n.add(Config{})
		server.Handle(9, func(r *Request) {
			r.Reply([]byte("done"))
			leave()
		})
		var kept *Request
		server.Handle(10, func(r *Request) {
			r.Defer()
			kept = r
			leave()
		})
		s := n.connect(client, server)
		answered, deferred := Call{Method: 9, Buf: make([]byte, 4)}, Call{Method: 10, Buf: make([]byte, 9)}
		n.submit(s, &deferred)
		n.call(s, &answered)
		require.NoError(t, answered.Err)
		require.Equal(t, "done", string(answered.Response))
		kept.Reply([]byte("later"))
		n.run(time.Millisecond)
		require.NoError(t, deferred.Err)
		require.Equal(t, "later", string(deferred.Response))
		n.settled(server, client)
	}
}

func TestACompletionThatDoesNotReturnHarmsNoOtherCall(t *testing.T) {
	t.Parallel()
	for way, leave := range ways {
		for _, ending := range []string{"answers", "the server is lost", "it is refused"} {
			n := newNetwork(t, 1)
			client := n.survivor(Config{})
			server := n.echoServer(Config{})
			if ending == "it is refused" {
				server.Drain()
			}
			s, err := client.Connect(server.addr)
			require.NoError(t, err)
			if ending != "it is refused" {
				n.echoes(s, 10)
			}
			done := 0
			for i := range 10 {
				s.Submit(&Call{Method: echo, Request: []byte{1}, Done: func(*Call) {
					done++
					if i%2 == 0 {
						leave()
					}
				}})
			}
			if ending == "the server is lost" {
				server.restart(Config{})
			}
			n.run(20 * time.Millisecond)
			require.Equal(t, 10, done, "%s: %s", ending, way)
			require.True(t, client.Drained())
		}
	}
}

// Serving names the request whose handler is on the stack, also if it does not
// return, until Left or the next Receive.
func TestServingIsTheRequestWhoseHandlerIsOnTheStack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.survivor(Config{}), n.add(Config{})
	ran := 0
	server.Handle(9, func(r *Request) {
		ran++
		require.Same(t, r, server.Serving())
		require.True(t, r.Open())
		r.Reply(nil)
		require.False(t, r.Open())
		require.Same(t, r, server.Serving(), "answered, but it has not returned")
	})
	var left *Request
	server.Handle(10, func(r *Request) {
		left = r
		panic("it does not return")
	})
	s := n.connect(client, server)
	call := Call{Method: 9}
	n.call(s, &call)
	require.NoError(t, call.Err)
	require.Equal(t, 1, ran)
	require.Nil(t, server.Serving())

	broken := Call{Method: 10}
	n.submit(s, &broken)
	n.run(time.Millisecond)
	require.Equal(t, Internal, failure(t, &broken).Code)
	require.Nil(t, server.Serving())
	require.False(t, left.Open())
	server.Left()
	n.settled(server, client)
}

// A completion that does not return keeps Close from nothing: Close again goes on
// behind it, and ends with the transport closed.
func TestCloseGoesOnBehindACompletionThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.survivor(Config{}), n.add(Config{})
	server.Handle(9, func(r *Request) { r.Defer() })
	s := n.connect(client, server)
	const calls = 5
	ended := 0
	for range calls {
		s.Submit(&Call{Method: 9, Done: func(*Call) {
			ended++
			panic("it does not return")
		}})
	}
	n.run(time.Millisecond)
	rounds := 0
	for closed := false; !closed; rounds++ {
		func() {
			defer func() { recover() }()
			require.NoError(t, client.Close())
			closed = true
		}()
	}
	require.Equal(t, calls, ended)
	require.Equal(t, calls+1, rounds)
	require.NoError(t, client.Close())
}

func TestAWatcherThatDoesNotReturnHoldsUpNeitherCallsNorOtherWatchers(t *testing.T) {
	t.Parallel()
	for way, leave := range ways {
		n := newNetwork(t, 1)
		server, client := n.echoServer(Config{}), n.add(Config{})
		n.drop = func(_, to netip.AddrPort, _ []byte) bool { return to == server.addr }
		client.host.Kill()
		port := client.host.Open(1)
		e, err := New(Config{Seed: [32]byte{77}}, port, n.Now())
		require.NoError(t, err)
		client.Endpoint, client.port = e, port
		client.host.Run(surviving{e}, port)
		var done [2]*int
		var calls [2]Call
		seen, ready := 0, 0
		for i := range calls {
			s, err := client.Connect(server.addr)
			require.NoError(t, err)
			s.Notify(func(state ConnState, _ error) {
				if state == Ready {
					seen++
					leave()
				}
			})
			s.Ready(func(err error) {
				require.NoError(t, err)
				ready++
				leave()
			})
			s.Ping(func(time.Duration, error) { leave() })
			calls[i] = Call{Method: echo, Buf: make([]byte, 1)}
			done[i] = n.submit(s, &calls[i])
		}
		n.run(time.Millisecond)
		n.heal()
		n.run(100 * time.Millisecond)
		require.Equal(t, []int{1, 1, 2, 2}, []int{*done[0], *done[1], seen, ready}, way)
		require.NoError(t, calls[0].Err)
		require.NoError(t, calls[1].Err)
	}
}

func TestAStreamsHandlerThatDoesNotReturnEndsItsStreamAlone(t *testing.T) {
	t.Parallel()
	for way, leave := range ways {
		n := newNetwork(t, 1)
		server, client := n.survivor(Config{}), n.add(Config{})
		server.HandleStream(talking, func(*Stream) { leave() })
		s := n.connect(client, server)
		u := talk(s, Stream{Method: talking, Header: []byte("header")})
		u.says(t, "a")
		u.CloseSend()
		n.run(10 * time.Millisecond)
		require.Equal(t, 1, u.ended, way)
		require.Equal(t, Internal, u.code(), way)
		require.True(t, u.Err.(*Error).MayHaveExecuted, way)
		n.echoes(s, 10)
		n.settled(server, client)
	}
}

// The end that came before the message is told behind it.
func TestAStreamGoesOnWhenItsUserDoesNotReturn(t *testing.T) {
	t.Parallel()
	for way, leave := range ways {
		n := newNetwork(t, 1)
		server, client := n.survivor(Config{}), n.add(Config{})
		var v *talker
		server.HandleStream(talking, func(st *Stream) {
			v = &talker{Stream: st, slow: true}
			v.received = func([]byte) { leave() }
			st.User = v
			st.Receive()
		})
		s := n.connect(client, server)
		u := talk(s, Stream{Method: talking})
		n.run(10 * time.Millisecond)
		lost := false
		n.drop = func(_, _ netip.AddrPort, data []byte) bool {
			first := !lost && holds(data, wire.StreamData)
			lost = lost || first
			return first
		}
		u.says(t, "a")
		n.react()
		u.CloseSend()
		n.until(func() bool { return v.closed == 1 })
		require.True(t, lost, way)
		v.End(OK, "", nil)
		n.until(func() bool { return u.ended == 1 })
		require.NoError(t, u.Err)
		n.settled(server, client)
	}
}
