package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Where nobody looks at checksums a message may arrive damaged. Its datagram is
// acknowledged, so that it does not come again.
func TestNoCallWaitsForEverForWhatWasDamaged(t *testing.T) {
	t.Parallel()
	const keepAlive = 300 * time.Millisecond
	for name, c := range map[string]struct {
		kind     wire.Kind
		size     int // of request and response
		which    int // of the messages of the kind
		executed int
		code     Code
	}{
		"a request":                   {wire.Request, 100, 1, 1, OK},
		"a response":                  {wire.Response, 100, 1, 1, DataLoss},
		"a fragment of a request":     {wire.Request, 10_000, 3, 0, Unavailable},
		"a fragment of a response":    {wire.Response, 10_000, 3, 1, DataLoss},
		"the first of a request":      {wire.Request, 10_000, 1, 1, OK},
		"the last of a response":      {wire.Response, 10_000, 7, 1, DataLoss},
		"all of a request":            {wire.Request, 10_000, 0, 0, Unavailable},
		"all fragments of a response": {wire.Response, 10_000, 0, 1, DataLoss},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, 1)
			executed := 0
			server, client := n.echoServer(Config{KeepAlive: keepAlive}), n.add(Config{KeepAlive: keepAlive})
			server.Handle(later, func(r *Request) {
				executed++
				r.Reply(r.Data)
			})
			s := n.connect(client, server)
			n.run(10 * time.Millisecond)
			seen, first := 0, true
			n.drop = func(_, _ netip.AddrPort, data []byte) bool {
				if first && holds(data, c.kind) {
					if seen++; seen == c.which || c.which == 0 {
						data[messagesIn(data)] |= 0x80 // a reserved bit
					}
				}
				return false
			}
			call := Call{Method: later, Request: pattern(c.size, 1), Buf: make([]byte, 0, c.size)}
			done := n.submit(s, &call)
			n.run(10 * time.Millisecond)
			require.Zero(t, *done)
			require.NotZero(t, seen)
			first = false
			for range 40 { // and others go on all the while
				n.echoes(s, 10)
				n.run(keepAlive)
			}
			require.Equal(t, 1, *done)
			require.Equal(t, c.executed, executed)
			require.Equal(t, c.code, CodeOf(call.Err))
			if c.code == OK {
				require.Equal(t, call.Request, call.Response)
			} else {
				require.Equal(t, executed > 0, failure(t, &call).MayHaveExecuted)
			}
			n.settled(server, client)
		})
	}
}

// messagesIn is where the messages of a Data datagram begin.
func messagesIn(data []byte) int {
	var h wire.Header
	rest, err := h.Parse(data)
	if err != nil {
		return 0
	}
	return len(data) - len(rest)
}

func TestALongCallIsAskedForAgainAndRunsOnce(t *testing.T) {
	t.Parallel()
	const keepAlive = 300 * time.Millisecond
	n := newNetwork(t, 1)
	n.faults(sim.Faults{Loss: 0.1})
	server, deferred := n.slowServer(Config{KeepAlive: keepAlive})
	client := n.add(Config{KeepAlive: keepAlive})
	s := n.connect(client, server)
	small := Call{Method: later, Request: pattern(100, 1), Buf: make([]byte, 10)}
	large := Call{Method: later, Request: pattern(100_000, 1), Buf: make([]byte, 10)}
	done := []*int{n.submit(s, &small), n.submit(s, &large)}
	n.run(100 * time.Millisecond)
	sent := client.Stats().TxMessages
	n.run(time.Minute)
	require.Len(t, *deferred, 2)
	require.NotZero(t, server.Stats().RequestsDuplicate)
	require.Less(t, client.Stats().TxMessages-sent, uint64(1200), "little is sent again")
	for _, r := range *deferred {
		r.Reply([]byte("at last"))
	}
	n.until(func() bool { return *done[0]+*done[1] == 2 })
	require.NoError(t, small.Err)
	require.NoError(t, large.Err)
	n.settled(server, client)
}
