package core

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

// In these tests the transport reads lent memory for some time after Send, as
// zero-copy backends do, and whoever gets memory back scribbles over it at once.

var scribble = bytes.Repeat([]byte{0xEE}, 16)

func scrawl(b []byte) {
	for i := range b {
		b[i] = 0xEE
	}
}

// watch fails the test if memory that was given back goes out.
func (n *network) watch(data []byte) {
	require.False(n.t, bytes.Contains(data, scribble), "a datagram holds memory that was given back")
}

func TestMemoryIsNotGivenBackWhileTheTransportReadsIt(t *testing.T) {
	t.Parallel()
	for seed := range seeds(8) {
		n := newNetwork(t, seed)
		server, client := n.add(Config{}), n.add(Config{})
		lent := 0
		server.Handle(echo, func(r *Request) {
			reply := bytes.Clone(r.Data)
			lent++
			r.Reply(reply)
			r.Released = func() {
				lent--
				scrawl(reply)
			}
		})
		s := n.connect(client, server)
		client.port.Linger(300 * time.Microsecond)
		server.port.Linger(500 * time.Microsecond)
		n.faults(sim.Faults{Loss: 0.05, Duplicate: 0.05, Jitter: 100 * time.Microsecond})
		n.drop = func(_, _ netip.AddrPort, data []byte) bool {
			n.watch(data)
			return false
		}
		const count = 300
		finished := 0
		for i := range count {
			size := []int{50, 1100, 1400, 3000, 30_000}[n.Rand().IntN(5)]
			c := &Call{Method: echo, Request: pattern(size, byte(i)), Buf: make([]byte, 0, size)}
			if n.Rand().IntN(3) == 0 {
				c.Timeout = time.Duration(n.Rand().IntN(3000)) * time.Microsecond
			}
			want := bytes.Clone(c.Request)
			c.Done = func(c *Call) {
				finished++
				if c.Err == nil {
					require.True(t, bytes.Equal(want, c.Response))
				}
				scrawl(c.Request)
			}
			s.Submit(c)
			n.run(time.Duration(n.Rand().IntN(100)) * time.Microsecond)
			if n.Rand().IntN(10) == 0 {
				s.Cancel(c)
			}
		}
		n.until(func() bool { return finished == count })
		n.drop = nil
		n.settled(server, client)
		require.Zero(t, lent, "replies that were never released")
	}
}

func TestACallIsNotDoneBeforeItsRequestIsRead(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		how  func(n *network, server *node, s *Session, c *Call)
		code Code
	}{
		{"answered", func(*network, *node, *Session, *Call) {}, OK},
		{"canceled", func(_ *network, _ *node, s *Session, c *Call) { s.Cancel(c) }, Canceled},
		{"session closed", func(_ *network, _ *node, s *Session, c *Call) { s.Close() }, Canceled},
		{"server lost", func(n *network, server *node, _ *Session, _ *Call) {
			require.NoError(n.t, server.Close())
		}, Unavailable},
	} {
		n := newNetwork(t, 1)
		server, client, s := pair(n, Config{})
		n.run(10 * time.Millisecond)
		client.port.Withhold(1 << 40)
		c := Call{Method: echo, Request: pattern(20_000, 1)}
		done := n.submit(s, &c)
		if end.code != OK {
			n.run(n.delay / 2)
		} else {
			n.run(2 * time.Millisecond)
			require.NotNil(t, c.Response, "the response is there")
		}
		end.how(n, server, s, &c)
		n.run(100 * time.Millisecond)
		require.Zero(t, *done, end.name)
		client.port.Withhold(0)
		n.run(10 * time.Millisecond)
		require.Equal(t, 1, *done, end.name)
		if end.code == OK {
			require.NoError(t, c.Err)
			require.Equal(t, c.Request, c.Response)
		} else {
			require.Equal(t, end.code, failure(t, &c).Code, end.name)
		}
	}
}

// The transport does not say that it has let go of memory, so it is asked: soon, but not all the time.
func TestWhoWaitsForMemoryAsksTheTransportAgain(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, client, s := pair(n, Config{KeepAlive: time.Hour})
	n.run(time.Second)
	nearest, ok := client.NextDeadline()
	require.True(t, ok)
	require.Greater(t, nearest, n.Now()+lookAgain, "nothing is waited for")

	client.port.Withhold(1 << 40)
	c := Call{Method: echo, Request: pattern(20_000, 1)}
	done := n.submit(s, &c)
	n.run(time.Second)
	soon := func() {
		at, ok := client.NextDeadline()
		require.True(t, ok)
		require.Greater(t, at, n.Now())
		require.LessOrEqual(t, at, n.Now()+lookAgain)
	}
	for range 10 {
		soon()
		n.run(10 * time.Millisecond)
	}
	brief := Call{Method: echo, Timeout: lookAgain / 2}
	n.submit(s, &brief)
	at, ok := client.NextDeadline()
	require.True(t, ok)
	require.LessOrEqual(t, at, n.Now()+brief.Timeout, "what comes before is not put off")
	n.run(10 * time.Millisecond)

	require.NoError(t, s.Close()) // and nothing is left to wait for but the memory
	n.run(time.Minute)
	soon()
	require.Zero(t, *done)
	client.port.Withhold(0)
	n.run(lookAgain)
	require.Equal(t, 1, *done)
	_, ok = client.NextDeadline()
	require.False(t, ok)
}

func TestALaterCompletionDoesNotWaitForAnEarlierOne(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, client, s := pair(n, Config{})
	n.run(10 * time.Millisecond)
	client.port.Withhold(1 << 40)
	first := Call{Method: echo, Request: pattern(3000, 1), Buf: make([]byte, 3000)}
	second := Call{Method: echo, Request: pattern(30_000, 1), Buf: make([]byte, 30_000)}
	a := n.submit(s, &first)
	b := n.submit(s, &second)
	n.run(10 * time.Millisecond)
	require.Len(t, client.parked, 2)
	at, ok := client.NextDeadline()
	require.True(t, ok)
	require.LessOrEqual(t, at, n.Now()+time.Millisecond, "no packet says when the memory is free, so somebody has to look")
	// Whichever ended first: the one that is free completes.
	client.port.Withhold(0)
	client.port.Withhold(client.port.Completed() - min(client.parked[0].end, client.parked[1].end))
	n.run(time.Millisecond)
	require.Equal(t, 1, *a+*b)
	client.port.Withhold(0)
	n.run(time.Millisecond)
	require.Equal(t, 2, *a+*b)
}

func TestALongReplyIsReleasedOnceAndNotBeforeItIsRead(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.add(Config{}), n.add(Config{})
	released := 0
	reply := pattern(20_000, 2)
	server.Handle(echo, func(r *Request) {
		r.Released = func() { released++ }
		r.Reply(reply)
	})
	s := n.connect(client, server)
	server.port.Withhold(1 << 40)
	c := Call{Method: echo}
	n.call(s, &c)
	require.Equal(t, reply, c.Response)
	n.run(100 * time.Millisecond)
	require.Zero(t, released)
	require.Equal(t, 1, server.Stats().RequestsHeld)
	server.port.Withhold(0)
	n.run(10 * time.Millisecond)
	require.Equal(t, 1, released)
	n.settled(server, client)
}

func TestARepliesMemoryIsReleasedHoweverTheRequestEnds(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		how  func(n *network, server *node, s *Session, c *Call)
	}{
		{"canceled", func(n *network, _ *node, s *Session, c *Call) { s.Cancel(c) }},
		{"session closed", func(n *network, _ *node, s *Session, _ *Call) { s.Close() }},
		{"client lost", func(n *network, _ *node, _ *Session, _ *Call) { n.partition() }},
		{"endpoint closed", func(n *network, server *node, _ *Session, _ *Call) {
			require.NoError(n.t, server.Close())
		}},
	} {
		for _, holds := range []uint64{0, 1 << 40} {
			n := newNetwork(t, 1)
			server, client := n.add(Config{}), n.add(Config{})
			released := 0
			server.Handle(echo, func(r *Request) {
				r.Released = func() { released++ }
				r.Reply(pattern(100_000, 2))
			})
			s := n.connect(client, server)
			server.port.Withhold(holds)
			c := Call{Method: echo}
			n.submit(s, &c)
			n.run(3 * n.delay)
			end.how(n, server, s, &c)
			n.run(5 * time.Second)
			server.port.Withhold(0)
			n.run(5 * time.Second)
			require.Equal(t, 1, released, "%s, held %d", end.name, holds)
			require.Zero(t, server.Stats().RequestsHeld, end.name)
		}
	}
}

func TestAnEchoMayBeLongerThanTheServersPackets(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.echoServer(Config{}), n.add(Config{})
	// Only the client's probes arrive: it sends in one packet what the server
	// has to answer in two.
	n.drop = func(from, _ netip.AddrPort, data []byte) bool { return from == server.addr && len(data) > 1200 }
	s := n.connect(client, server)
	n.run(2 * time.Second)
	require.Equal(t, 1472, s.MTU())
	require.Equal(t, 1200, server.onlyClient().MTU())
	n.echoes(s, 1400)
}

func TestASmallResponseWithoutABufferIsAViewDuringDone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, _, s := pair(n, Config{})
	during := ""
	done := false
	c := Call{Method: echo, Request: []byte("hello")}
	c.Done = func(c *Call) {
		during = string(c.Response)
		done = true
	}
	s.Submit(&c)
	n.until(func() bool { return done })
	require.Equal(t, "hello", during)
	require.NotEqual(t, "hello", string(c.Response), "the receive memory was released")
}

func TestADeferredRequestKeepsItsData(t *testing.T) {
	t.Parallel()
	for _, size := range []int{5, 1000, 20_000} {
		n := newNetwork(t, 1)
		server, deferred := n.slowServer(Config{})
		client := n.add(Config{})
		s := n.connect(client, server)
		c := Call{Method: later, Request: pattern(size, 4), Buf: make([]byte, size)}
		done := n.submit(s, &c)
		n.run(10 * time.Millisecond)
		n.stream(s, 8, 100, size)
		r := (*deferred)[0]
		require.Equal(t, c.Request, r.Data)
		r.Reply(r.Data)
		n.until(func() bool { return *done == 1 })
		require.Equal(t, c.Request, c.Response)
	}
}

func TestDamageIsFoundWhereTheTransportDoesNotLook(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 3)
	n.damages = true
	server, client := n.echoServer(Config{}), n.add(Config{})
	damaged := 0
	n.drop = func(_, _ netip.AddrPort, data []byte) bool {
		if n.Rand().Float64() < 0.1 {
			damaged++
			for range 1 + n.Rand().IntN(3) {
				data[n.Rand().IntN(len(data))] ^= byte(1 + n.Rand().IntN(255))
			}
		}
		return false
	}
	s := n.connect(client, server)
	n.stream(s, 16, 500, 100)
	n.stream(s, 4, 50, 50_000)
	require.NotZero(t, damaged)
	require.Zero(t, client.Stats().CallsFailed)
	require.EqualValues(t, 550, server.Stats().RequestsHandled)
	a, b := server.Stats(), client.Stats()
	found := a.RxChecksum + a.RxMalformed + a.RxVersion + a.RxUnknown + b.RxChecksum + b.RxMalformed + b.RxVersion + b.RxUnknown
	require.GreaterOrEqual(t, found, uint64(damaged), "each is counted")
	n.drop = nil
	n.settled(server, client)
}

// A response that comes before the transport has let go of the request waits for that,
// longer than what it came in.
func TestAResponseThatWaitsForTheTransportIsKeptWhole(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{})
	reply := pattern(40, 7)
	server.Handle(later, func(r *Request) { r.Reply(reply) })
	n.run(10 * time.Millisecond)
	client.port.Withhold(1000)
	c := Call{Method: later, Request: pattern(20_000, 1)}
	done := n.submit(s, &c)
	n.run(100 * time.Millisecond) // the memory that it came in is used again
	require.Zero(t, *done)
	require.Equal(t, reply, c.Response)
	client.port.Withhold(0)
	n.run(100 * time.Millisecond)
	require.Equal(t, 1, *done)
	require.NoError(t, c.Err)
	require.Equal(t, reply, c.Response)
}
