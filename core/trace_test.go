package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// traceOf is one of many.
func traceOf(span byte) Trace {
	return Trace{TraceID: [16]byte{0xA, 15: span}, SpanID: [8]byte{span}, Flags: 1}
}

// A request tells its handler what it is part of: one of a packet, one of many, one
// whose path has become narrower, with a deadline and without, on a network that loses.
func TestAHandlerKnowsTheTraceOfItsRequest(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 4)
	server, client, s := pair(n, Config{KeepAlive: time.Minute})
	var seen []Trace
	server.Handle(echo, func(r *Request) {
		seen = append(seen, r.Trace())
		r.Reply(r.Data)
	})
	n.faults(sim.Faults{Loss: 0.05, Duplicate: 0.02, Jitter: 20 * time.Microsecond})
	var sent []Trace
	room := muxOf(client.toward(server)).singleLimit()
	sizes := []int{0, 100, 1000, 20_000}
	for size := room - wire.TraceSize - 3; size <= room+3; size++ {
		sizes = append(sizes, size)
	}
	for i, size := range sizes {
		for _, timeout := range []time.Duration{0, 10 * time.Minute} {
			trace := traceOf(byte(1 + i))
			c := Call{Method: echo, Request: pattern(size, 1), Buf: make([]byte, 0, size), Trace: &trace, Timeout: timeout}
			n.call(s, &c)
			require.NoError(t, c.Err)
			require.Equal(t, c.Request, c.Response)
			c.Trace = nil
			n.call(s, &c)
			require.NoError(t, c.Err)
			sent = append(sent, trace, Trace{})
		}
	}
	require.Equal(t, sent, seen)
}

func TestAStreamsHandlerKnowsItsTrace(t *testing.T) {
	t.Parallel()
	for _, header := range []int{0, 5000} {
		n := newNetwork(t, 4)
		server, _, s := pair(n, Config{KeepAlive: time.Minute})
		n.faults(sim.Faults{Loss: 0.2, Reorder: 0.2, ReorderDelay: time.Millisecond})
		served := server.listens(talking, false)
		for i := range byte(20) {
			st := Stream{Method: talking, Header: pattern(header, 1)}
			if i%2 == 0 {
				st.Trace = traceOf(1 + i)
			}
			talk(s, st).CloseSend()
			n.until(func() bool { return len(*served) == int(i)+1 })
			require.Equal(t, st.Trace, (*served)[i].Trace)
		}
	}
}

// A peer that has not heard of traces would take one for an error.
func TestAPeerThatDoesNotReadTracesGetsNone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server := n.add(Config{})
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		var h wire.Header
		if rest, _ := h.Parse(data); h.Type == wire.Accept && from == server.addr {
			const features = 8 + 24
			rest[features] &^= wire.FeatureTrace
			wire.Seal(data, nil)
		}
		return false
	}
	traced := false
	server.Handle(echo, func(r *Request) {
		traced = traced || r.Trace() != Trace{}
		r.Reply(r.Data)
	})
	served := server.listens(talking, false)
	s, err := n.add(Config{}).Connect(server.addr)
	require.NoError(t, err)
	trace := traceOf(1)
	c := Call{Method: echo, Trace: &trace}
	n.call(s, &c)
	require.NoError(t, c.Err)
	talk(s, Stream{Method: talking, Trace: trace})
	n.until(func() bool { return len(*served) == 1 })
	require.False(t, traced)
	require.Zero(t, (*served)[0].Trace)
}

func TestATraceOfZerosIsNone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	server, _, s := pair(n, Config{})
	seen := traceOf(1)
	server.Handle(echo, func(r *Request) {
		seen = r.Trace()
		r.Reply(nil)
	})
	c := Call{Method: echo, Trace: &Trace{Flags: 1}}
	n.call(s, &c)
	require.NoError(t, c.Err)
	require.Zero(t, seen)
}
