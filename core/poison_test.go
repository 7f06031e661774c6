package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

func TestMemoryWhoseTimeIsOverIsPoisoned(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client := n.add(Config{Poison: true}), n.add(Config{Poison: true})
	var stale []byte // what a handler kept of its request
	server.Handle(echo, func(r *Request) {
		stale = r.Data
		r.Reply(r.Data)
	})
	var deferred *Request
	server.Handle(later, func(r *Request) {
		view := r.Data
		r.Defer()
		stale, deferred = r.Data, r
		if len(view) < 1000 {
			require.NotSame(t, &view[0], &stale[0])
		}
	})
	s := n.connect(client, server)
	for _, size := range []int{1, 100, 1100, 5000, 100_000} {
		request := pattern(size, 1)
		over := bytes.Repeat([]byte{0xDB}, size)
		var seen, kept []byte
		c := Call{Method: echo, Request: request, Done: func(c *Call) {
			require.NoError(t, c.Err)
			seen, kept = bytes.Clone(c.Response), c.Response
		}}
		s.Submit(&c)
		n.run(10 * time.Millisecond)
		require.Equal(t, request, seen)
		require.Equal(t, over, stale, "%d bytes", size)
		if size < 1100 {
			require.Equal(t, over, kept, "a view's time is over after Done")
		} else if size > 1500 {
			require.Equal(t, request, kept, "what is no view is the caller's")
		}

		c = Call{Method: later, Request: request, Buf: make([]byte, size)}
		done := n.submit(s, &c)
		n.run(10 * time.Millisecond)
		require.Equal(t, request, stale, "it is kept until the reply")
		deferred.Reply([]byte("ok"))
		n.run(10 * time.Millisecond)
		require.Equal(t, 1, *done)
		require.Equal(t, over, stale, "%d bytes, deferred", size)
	}
	n.settled(server, client)
}

func TestPoisonHarmsNothingThatIsInUse(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, client, s := pair(n, Config{Poison: true})
	server.Handle(later, func(r *Request) {
		r.Defer()
		server.net.At(server.net.Now()+time.Duration(len(r.Data))*time.Microsecond, func() {
			server.Advance(server.net.Now())
			r.Reply(r.Data)
			server.host.Kick()
		})
	})
	n.faults(sim.Faults{Loss: 0.05, Duplicate: 0.05})
	n.stream(s, 16, 300, 100)
	n.stream(s, 16, 300, 10_000)
	for size := 1; size < 20_000; size = size*3/2 + 1 {
		c := Call{Method: later, Request: pattern(size, 7), Buf: make([]byte, 0, size)}
		n.call(s, &c)
		require.NoError(t, c.Err)
		require.True(t, bytes.Equal(c.Request, c.Response), "%d bytes", size)
	}
	n.heal()
	n.settled(server, client)
}
