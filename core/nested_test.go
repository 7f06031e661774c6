package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestAHandlerMayCallAnotherServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	back, front, client := n.echoServer(Config{}), n.add(Config{}), n.add(Config{})
	n.faults(sim.Faults{Loss: 0.05})
	inner := n.connect(front, back)
	front.Handle(echo, func(r *Request) {
		r.Defer()
		inner.Submit(&Call{Method: echo, Request: r.Data, Done: func(c *Call) {
			require.NoError(t, c.Err)
			r.Reply(append([]byte(nil), c.Response...))
		}})
	})
	s := n.connect(client, front)
	n.stream(s, 16, 300, 100)
	n.stream(s, 4, 50, 10_000)
	n.heal()
	n.settled(back, front, client)
}

func TestTwoEndpointsMayBeEachOthersServer(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	a, b := n.echoServer(Config{}), n.echoServer(Config{})
	toB, toA := n.connect(a, b), n.connect(b, a)
	// b's handler asks a before it answers, and a's asks b: three deep.
	depth := func(s *Session) Handler {
		return func(r *Request) {
			if r.Data[0] == 0 {
				r.Reply([]byte{0})
				return
			}
			r.Defer()
			s.Submit(&Call{Method: 5, Request: []byte{r.Data[0] - 1}, Done: func(c *Call) {
				require.NoError(t, c.Err)
				r.Reply([]byte{c.Response[0] + 1})
			}})
		}
	}
	a.Handle(5, depth(toB))
	b.Handle(5, depth(toA))
	c := Call{Method: 5, Request: []byte{20}, Buf: make([]byte, 1)}
	n.call(toB, &c)
	require.NoError(t, c.Err)
	require.Equal(t, []byte{20}, c.Response)
	n.settled(a, b)
}

func TestACompletionMayCancelOthers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Slots: 2})
	client := n.add(Config{})
	s := n.connect(client, server)
	calls := make([]Call, 6)
	done := 0
	for i := range calls {
		calls[i] = Call{Method: never, Request: pattern(50, 1), Done: func(*Call) {
			done++
			for j := range calls {
				s.Cancel(&calls[j])
			}
		}}
		s.Submit(&calls[i])
	}
	n.run(time.Millisecond)
	s.Cancel(&calls[3])
	require.Equal(t, len(calls), done)
	n.run(time.Millisecond)
	for _, r := range *deferred {
		r.Reply(nil)
	}
	n.settled(server, client)
}

func TestACompletionMayCancelOthersThatFailWithIt(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cancel", "close", "submit"} {
		n := newNetwork(t, 1)
		server, client := n.echoServer(Config{}), n.add(Config{ConnectTimeout: 50 * time.Millisecond})
		n.partition()
		s, err := client.Connect(server.addr)
		require.NoError(t, err)
		calls := make([]Call, 4)
		done := 0
		for i := range calls {
			calls[i] = Call{Method: echo, Done: func(c *Call) {
				done++
				switch how {
				case "cancel":
					for j := range calls {
						s.Cancel(&calls[j])
					}
				case "close":
					s.Close()
				case "submit":
					if done <= 4 {
						s.Submit(c)
					}
				}
			}}
			s.Submit(&calls[i])
		}
		n.run(time.Second)
		want := 4
		if how == "submit" {
			want = 8
		}
		require.Equal(t, want, done, how)
		require.True(t, client.Drained(), how)
	}
}

func TestACompletionMayCancelWhileItsSessionCloses(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, deferred := n.slowServer(Config{Slots: 3})
	client := n.add(Config{})
	s := n.connect(client, server)
	n.connect(client, server) // keeps the connection
	calls := make([]Call, 5)
	var done [5]int
	for i := range calls {
		calls[i] = Call{Method: never, Done: func(*Call) {
			done[i]++
			if i == 1 {
				s.Cancel(&calls[2]) // frees a slot for those that wait
			}
		}}
		s.Submit(&calls[i])
	}
	n.run(time.Millisecond)
	s.Close()
	require.Equal(t, [5]int{1, 1, 1, 1, 1}, done)
	n.run(time.Millisecond)
	require.Len(t, *deferred, 3)
	for _, r := range *deferred {
		r.Reply(nil)
	}
	n.settled(server, client)
}

func TestACompletionMayCloseItsSession(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{Slots: 4})
	done := 0
	for range 10 {
		s.Submit(&Call{Method: echo, Done: func(*Call) {
			done++
			s.Close()
		}})
	}
	n.run(time.Second)
	require.Equal(t, 10, done)
	require.Empty(t, client.packets.To(server.addr))
	n.run(10 * time.Millisecond)
	require.Zero(t, server.Stats().Sessions)
}

func TestACompletionMaySubmitAndConnectAgainWhenTheServerIsLost(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{KeepAlive: 100 * time.Millisecond})
	done := 0
	again := func(c *Call) {
		done++
		if c.Err == nil {
			return
		}
		fresh, err := client.Connect(server.addr)
		require.NoError(t, err)
		s.Close()
		s = fresh
		s.Submit(c)
	}
	n.partition()
	for range 5 {
		s.Submit(&Call{Method: echo, Done: again})
	}
	n.run(150 * time.Millisecond)
	require.GreaterOrEqual(t, done, 5)
	n.heal()
	n.run(5 * time.Second)
	require.True(t, client.Drained())
	n.echoes(s, 10)
}

func TestAPingMayCloseTheSession(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	n.run(time.Millisecond)
	var took time.Duration
	s.Ping(func(rtt time.Duration, _ error) {
		took = rtt
		s.Close()
	})
	n.run(10 * time.Millisecond)
	require.Equal(t, 2*n.delay, took)
	require.Zero(t, client.Stats().Peers+server.Stats().Peers)
}

func TestCallbacksMayCloseTheEndpoint(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"handler", "released", "canceled", "done", "ping", "ready"} {
		n := newNetwork(t, 1)
		server, client := n.add(Config{}), n.add(Config{})
		closing := func(name string, d *node) func() {
			return func() {
				if name == where {
					require.NoError(t, d.Close())
				}
			}
		}
		server.Handle(echo, func(r *Request) {
			closing("handler", server)()
			r.Released = closing("released", server)
			r.Reply(pattern(5000, 1))
		})
		server.Handle(never, func(r *Request) {
			r.Defer()
			r.Canceled = CancelFunc(closing("canceled", server))
		})
		s, err := client.Connect(server.addr)
		require.NoError(t, err)
		s.Ready(func(error) { closing("ready", client)() })
		done := 0
		var calls [20]Call
		for i := range calls {
			calls[i] = Call{Method: echo, Request: pattern(i, 1), Done: func(*Call) { done++; closing("done", client)() }}
			if i%3 == 0 {
				calls[i].Method = never
				calls[i].Timeout = 2 * time.Millisecond
			}
			s.Submit(&calls[i])
		}
		n.run(500 * time.Microsecond)
		s.Ping(func(time.Duration, error) { closing("ping", client)() })
		n.run(10 * time.Second)
		require.Equal(t, len(calls), done, where)
	}
}

func TestAHandlerMayBeRemovedAmidARequest(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	c := Call{Method: echo, Request: pattern(1<<20, 1)}
	done := n.submit(s, &c)
	n.run(3 * n.delay)
	require.Zero(t, *done)
	require.NotZero(t, server.Stats().ReassemblyBytes)
	server.Handle(echo, nil)
	n.until(func() bool { return *done == 1 })
	require.Equal(t, Unimplemented, failure(t, &c).Code)
	n.settled(server, client)
}
