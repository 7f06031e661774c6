package core

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
)

const echo = 1

// pair is a server that echoes, and a client connected to it.
func pair(n *network, cfg Config) (server, client *node, s *Session) {
	server, client = n.add(cfg), n.add(cfg)
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	s, err := client.Connect(server.addr)
	require.NoError(n.t, err)
	ready := false
	s.Ready(func(err error) {
		require.NoError(n.t, err)
		ready = true
	})
	n.until(func() bool { return ready })
	return server, client, s
}

// call makes a call and runs the network until it is done.
func (n *network) call(s *Session, c *Call) {
	n.t.Helper()
	done := false
	c.Done = func(*Call) { done = true }
	s.Submit(c)
	n.until(func() bool { return done })
}

func pattern(size int, seed byte) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i>>8) ^ seed
	}
	return b
}

func TestAReplyComesBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	_, _, s := pair(n, Config{})
	c := Call{Method: echo, Request: []byte("hello"), Buf: make([]byte, 16)}
	n.call(s, &c)
	require.NoError(t, c.Err)
	require.Equal(t, "hello", string(c.Response))
	require.GreaterOrEqual(t, s.RTT(), 2*n.delay)
}

func TestMessagesOfEverySizeArriveWhole(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.01, 0.1} {
		n := newNetwork(t, 7)
		_, _, s := pair(n, Config{})
		n.faults(sim.Faults{Loss: loss, Duplicate: 0.01, Jitter: 10 * time.Microsecond})
		for _, size := range []int{0, 1, 100, 1023, 1024, 1025, 1100, 1200, 1400, 1472, 1500, 3000, 100_000, 3 << 20} {
			request := pattern(size, 3)
			c := Call{Method: echo, Request: request, Buf: make([]byte, 0, size)}
			n.call(s, &c)
			require.NoError(t, c.Err, "size %d loss %v", size, loss)
			require.True(t, bytes.Equal(request, c.Response), "size %d loss %v", size, loss)
		}
	}
}

func TestManyCallsAtOnceEachGetTheirOwnReply(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 3)
	server, client, s := pair(n, Config{Slots: 32})
	n.faults(sim.Faults{Loss: 0.02, Duplicate: 0.02, Jitter: 50 * time.Microsecond})
	executed := map[uint64]int{}
	server.Handle(echo, func(r *Request) {
		executed[binary.LittleEndian.Uint64(r.Data)]++
		r.Reply(r.Data)
	})
	left := 3000
	next := uint64(0)
	submit := func(c *Call) {
		binary.LittleEndian.PutUint64(c.Request, next)
		next++
		s.Submit(c)
	}
	for range 100 {
		c := &Call{Method: echo, Request: make([]byte, 32), Buf: make([]byte, 32)}
		c.Done = func(c *Call) {
			require.NoError(t, c.Err)
			require.Equal(t, c.Request, c.Response)
			if left--; left >= 100 {
				submit(c)
			}
		}
		submit(c)
	}
	n.until(func() bool { return left == 0 })
	require.Len(t, executed, 3000)
	for id, times := range executed {
		require.Equal(t, 1, times, "request %d", id)
	}
	n.run(10 * time.Millisecond)
	require.Zero(t, server.Stats().RequestsHeld)
	require.Zero(t, client.Stats().RequestsHeld)
}

func TestAnEchoLongerThanTheServersPacketsIsCopied(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 8)
	server := n.add(Config{})
	n.drop = func(from, _ netip.AddrPort, data []byte) bool { return from == server.addr && len(data) > 1200 }
	client := n.add(Config{})
	server.Handle(echo, func(r *Request) { r.Reply(r.Data) })
	s, err := client.Connect(server.addr)
	require.NoError(t, err)
	s.Ready(func(error) {})
	n.run(time.Millisecond)
	require.Equal(t, 1472, s.MTU(), "the client's packets are larger than the server's")
	c := Call{Method: echo, Request: pattern(1300, 1), Buf: make([]byte, 1300)}
	n.call(s, &c)
	require.NoError(t, c.Err)
	require.Equal(t, c.Request, c.Response)
}
