package core

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seen is one thing that Config.Ended told.
type seen struct {
	side   Side
	method uint16
	code   Code
	took   time.Duration
}

// watched adds a node whose calls and requests are told of.
func (n *network) watched(cfg Config) (*node, *[]seen) {
	list := new([]seen)
	var d *node
	cfg.Ended = func(side Side, method uint16, code Code, since time.Duration, count uint64) {
		for range count {
			*list = append(*list, seen{side, method, code, d.Packets().Now() - since})
		}
	}
	d = n.add(cfg)
	return d, list
}

func TestTheEndsOfCallsAndRequestsAreTold(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, served := n.watched(Config{})
	client, called := n.watched(Config{Slots: 1})
	const slow, none = echo + 1, echo + 2
	var held *Request
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	server.Handle(slow, func(r *Request) { r.Defer(); held = r })
	s := n.connect(client, server)

	n.echoes(s, 10)
	n.fails(s, &Call{Method: none})
	n.fails(s, &Call{Method: slow, Timeout: 50 * time.Millisecond})
	require.NotNil(t, held)
	last := &Call{Method: slow}
	waits := &Call{Method: echo}
	done, after := n.submit(s, last), n.submit(s, waits)
	n.run(20 * time.Millisecond)
	held.Reply(nil)
	n.until(func() bool { return *done+*after == 2 })

	codes := func(list []seen) (codes []Code) {
		for _, e := range list {
			codes = append(codes, e.code)
		}
		return codes
	}
	require.Equal(t, []Code{OK, Unimplemented, DeadlineExceeded, OK, OK}, codes(*called))
	require.Equal(t, []Code{OK, Unimplemented, OK, OK}, codes(*served), "nobody answered the one that was given up")
	for _, e := range slices.Concat(*called, *served) {
		require.Contains(t, []uint16{echo, slow, none}, e.method)
		require.GreaterOrEqual(t, e.took, time.Duration(0))
	}
	require.Equal(t, 50*time.Millisecond, (*called)[2].took)
	require.GreaterOrEqual(t, (*called)[4].took, 20*time.Millisecond, "with the time that it waited for the slot")
	require.GreaterOrEqual(t, (*served)[2].took, 19*time.Millisecond)
	require.Zero(t, (*served)[3].took, "of an inline handler the engine's clock stands still")
	require.Equal(t, Client, (*called)[0].side)
	require.Equal(t, Server, (*served)[0].side)
	require.Equal(t, uint64(1), client.Stats().CallsQueued)
}

func TestThoseOfABurstAreToldOfAtOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	type told struct {
		method uint16
		count  uint64
	}
	var list []told
	server := n.echoServer(Config{Ended: func(_ Side, method uint16, _ Code, _ time.Duration, count uint64) {
		list = append(list, told{method, count})
	}})
	client := n.add(Config{})
	s := n.connect(client, server)
	var done []*int
	for _, method := range []uint16{echo, echo, echo, echo + 1, echo, echo} { // one datagram
		done = append(done, n.submit(s, &Call{Method: method}))
	}
	n.until(func() bool { return !slices.ContainsFunc(done, func(d *int) bool { return *d == 0 }) })
	require.Equal(t, []told{{echo, 3}, {echo + 1, 1}, {echo, 2}}, list)
}

func TestPeersAreListed(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.add(Config{})
	server.Handle(echo, func(r *Request) { r.Defer() })
	client := n.add(Config{Slots: 2})
	s := n.connect(client, server)
	for range 3 {
		n.submit(s, &Call{Method: echo, Request: pattern(100, 1)})
	}
	n.run(50 * time.Millisecond)
	there, here := slices.Collect(client.Peers()), slices.Collect(server.Peers())
	require.Len(t, there, 1)
	require.Len(t, here, 1)
	p := there[0]
	require.Equal(t, server.addr, p.Addr)
	require.Equal(t, []int{1, 2, 1}, []int{p.Sessions, p.Requests, p.Queued})
	require.Equal(t, Client, p.Side)
	require.Positive(t, p.RTT)
	require.Positive(t, p.Window)
	require.Equal(t, s.MTU(), p.MTU)
	require.Equal(t, Peer{
		Addr: client.addr, Side: Server, RTT: here[0].RTT, Window: here[0].Window, MTU: here[0].MTU, Sessions: 1, Requests: 2,
	}, here[0])
	require.NoError(t, s.Close())
	n.run(50 * time.Millisecond)
	require.Empty(t, slices.Collect(client.Peers()))
	require.Empty(t, slices.Collect(server.Peers()))
}
