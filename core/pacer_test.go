package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
)

// slow is a controller that names a rate, in bytes a second, for datagrams one by one.
type slow struct {
	cc.Controller
	rate uint64
}

func (s slow) Rate() uint64 { return s.rate }

func TestWhatIsCanceledWhileItWaitsForItsTurnIsNotSent(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 5)
	server := n.echoServer(Config{})
	client := n.add(Config{Controller: func(p cc.Path) cc.Controller { return slow{cc.None(cc.DefaultWindow)(p), 100_000} }})
	s := n.connect(client, server)
	n.run(time.Second) // the MTU is found
	sent := 0
	n.drop = func(from, _ netip.AddrPort, data []byte) bool {
		if from == client.addr && len(data) > 1000 {
			sent++
		}
		return false
	}
	c := &Call{Method: echo, Request: pattern(100*1400, 1)}
	done := n.submit(s, c)
	n.run(time.Millisecond)
	s.Cancel(c)
	require.Equal(t, 1, *done)
	n.run(time.Second)
	require.Equal(t, 1, sent)
	require.Zero(t, server.Stats().RequestsHandled)
	n.settled(server, client)
}
